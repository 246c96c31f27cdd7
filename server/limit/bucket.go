package limit

import "time"

// bucket is a token bucket: it holds burst tokens and gains perSecond of them.
type bucket struct {
	tokens float64
	at     time.Time
}

func fullBucket(burst int, now time.Time) bucket { return bucket{float64(burst), now} }

// fill adds what time has brought. A clock that stands still or goes back brings nothing.
func (b *bucket) fill(perSecond float64, burst int, now time.Time) {
	if gone := now.Sub(b.at); gone > 0 {
		b.tokens = min(float64(burst), b.tokens+gone.Seconds()*perSecond)
		b.at = now
	}
}

// lack is how long it takes until there is a whole token; 0 if there is one.
func (b *bucket) lack(perSecond float64) time.Duration {
	if b.tokens >= 1 {
		return 0
	}
	return max(time.Duration((1-b.tokens)/perSecond*float64(time.Second)), time.Microsecond)
}
