package model

import "math/big"

// MostTokens is the largest number of tokens that is believed of one call, and the
// largest bound that can be reserved.
const MostTokens = 1_000_000_000

// Usage is what one call used, in tokens. Input holds CachedInput and CacheWrite.
type Usage struct {
	Input       int64
	CachedInput int64
	CacheWrite  int64
	Output      int64
}

// Tokens are all tokens, cached or not.
func (u Usage) Tokens() int64 { return u.Input + u.Output }

// sound reports whether a provider can mean it: something was used, and no number is
// out of range. Whatever else is in doubt is made to cost more and not less.
func (u *Usage) sound() bool {
	for _, n := range []int64{u.Input, u.CachedInput, u.CacheWrite, u.Output} {
		if n < 0 || n > MostTokens {
			return false
		}
	}
	if u.CachedInput+u.CacheWrite > u.Input {
		u.CachedInput, u.CacheWrite = 0, 0
	}
	return u.Input+u.Output > 0
}

// Cost is the price of u in millionths of a US dollar, rounded up.
func (p Price) Cost(u Usage) int64 {
	total := new(big.Int)
	for _, part := range [...][2]int64{
		{u.Input - u.CachedInput - u.CacheWrite, p.Input},
		{u.CachedInput, p.CachedInput}, {u.CacheWrite, p.CacheWrite}, {u.Output, p.Output},
	} {
		total.Add(total, new(big.Int).Mul(big.NewInt(part[0]), big.NewInt(part[1])))
	}
	const million = 1_000_000
	total.Add(total, big.NewInt(million-1))
	return total.Div(total, big.NewInt(million)).Int64()
}

// most is the price of u where none of its input is known to be cheaper.
func (p Price) most(u Usage) int64 {
	p.Input = max(p.Input, p.CachedInput, p.CacheWrite)
	return p.Cost(Usage{Input: u.Input, Output: u.Output})
}
