package grant

import (
	"errors"
	"strconv"
	"strings"
)

// Amounts have one spelling each: plain decimal, no sign, no leading zero, above
// zero. Zero would stand for "not limited", the opposite of what it says.
var (
	errCount = errors.New("want a whole number above zero, for instance 100")
	errBytes = errors.New("want a whole number above zero, alone or with KiB, MiB, GiB or TiB, for instance 10MiB")
	errUSD   = errors.New("want dollars above zero with up to six decimal places, for instance 2.50")
)

const usdPlaces = 6

func parseCount(s string) (int64, error) {
	if !plain(s) || s[0] == '0' {
		return 0, errCount
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errCount
	}
	return n, nil
}

func formatCount(n int64) string { return strconv.FormatInt(n, 10) }

// byteUnit is a binary unit: 1 << shift bytes.
type byteUnit struct {
	name  string
	shift int
}

// byteUnits stand from the largest to the smallest.
func byteUnits() []byteUnit {
	return []byteUnit{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}}
}

func parseBytes(s string) (int64, error) {
	shift := 0
	for _, u := range byteUnits() {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, shift = number, u.shift
			break
		}
	}
	n, err := parseCount(s)
	if err != nil || n<<shift>>shift != n {
		return 0, errBytes
	}
	return n << shift, nil
}

// formatBytes takes the largest unit that says it exactly.
func formatBytes(n int64) string {
	for _, u := range byteUnits() {
		if n>>u.shift<<u.shift == n {
			return formatCount(n>>u.shift) + u.name
		}
	}
	return formatCount(n)
}

// parseUSD reads dollars exactly into millionths: no float is involved.
func parseUSD(s string) (int64, error) {
	whole, places, point := strings.Cut(s, ".")
	if !plain(whole) || whole[0] == '0' && len(whole) > 1 {
		return 0, errUSD
	}
	if point && (!plain(places) || len(places) > usdPlaces) {
		return 0, errUSD
	}
	n, err := strconv.ParseInt(whole+places+strings.Repeat("0", usdPlaces-len(places)), 10, 64)
	if err != nil || n == 0 {
		return 0, errUSD
	}
	return n, nil
}

func formatUSD(micro int64) string {
	const one = 1_000_000
	places := strconv.FormatInt(one+micro%one, 10)[1:]
	whole := formatCount(micro / one)
	if places = strings.TrimRight(places, "0"); places == "" {
		return whole
	}
	return whole + "." + places
}

// plain reports whether s is decimal digits and nothing else.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
