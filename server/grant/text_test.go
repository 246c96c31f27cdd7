package grant_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/grant"
)

func TestParse(t *testing.T) {
	full := grant.Grant{
		Connector: "crm", Tools: []string{"contacts.get", "notes.*"}, MaxSeverity: grant.Write,
		Resources: []grant.Pattern{pattern(t, "contact:42"), pattern(t, "note:eu-*")},
		Limits:    grant.Limits{Calls: 10, Bytes: 10 << 20, Rows: 500, Tokens: 9007199254740993, MicroUSD: 2_500_000},
		ExpiresAt: time.Date(2030, 1, 31, 17, 0, 0, 0, time.UTC),
	}
	tests := []struct {
		name, text string
		want       grant.Grant
		canonical  string // empty: as text
	}{
		{
			name: "the shortest", text: "crm: contacts.get READ contact:42",
			want: grant.Grant{
				Connector: "crm", Tools: []string{"contacts.get"}, MaxSeverity: grant.Read,
				Resources: []grant.Pattern{pattern(t, "contact:42")},
			},
		},
		{
			name: "every part",
			text: "crm: contacts.get,notes.* WRITE contact:42,note:eu-* calls=10 bytes=10MiB rows=500 tokens=9007199254740993 usd=2.5 until=2030-01-31T17:00:00Z",
			want: full,
		},
		{
			name:      "other spaces, order, zone and spelling of amounts",
			text:      "  crm :\tcontacts.get,notes.*  WRITE contact:42,note:eu-* until=2030-01-31T18:00:00+01:00 usd=2.500000 tokens=9007199254740993 rows=500 bytes=10240KiB calls=10\n",
			want:      full,
			canonical: "crm: contacts.get,notes.* WRITE contact:42,note:eu-* calls=10 bytes=10MiB rows=500 tokens=9007199254740993 usd=2.5 until=2030-01-31T17:00:00Z",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := grant.Parse(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			if tt.canonical == "" {
				tt.canonical = tt.text
			}
			require.Equal(t, tt.canonical, got.String())
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const ok = "crm: contacts.get READ contact:42"
	tests := []struct{ name, text, saying string }{
		{"nothing", "", "want CONNECTOR: TOOL"},
		{"no colon", "crm contacts.get READ", "want CONNECTOR: TOOL"},
		{"no severity", "crm: contacts.get contact:42", "want CONNECTOR: TOOL"},
		{"no resources", "crm: contacts.get READ", "want CONNECTOR: TOOL"},
		{"no tools", "crm: READ contact:42", "want CONNECTOR: TOOL"},
		{"no connector", ": contacts.get READ contact:42", "connector"},
		{"connector with a capital", "Crm: contacts.get READ contact:42", "connector"},
		{"connector with a star", "c*: contacts.get READ contact:42", "connector"},
		{"connector too long", strings.Repeat("c", 64) + ok[3:], "up to 63"},
		{"bare star for the tool", "crm: * READ contact:42", "a bare * is refused"},
		{"bare star among tools", "crm: contacts.get,* READ contact:42", "a bare * is refused"},
		{"bare star for the resource", "crm: contacts.get READ *", "a bare * is refused"},
		{"star within a tool", "crm: con*s.get READ contact:42", "* only at the end"},
		{"two stars in a tool", "crm: contacts.** READ contact:42", "* only at the end"},
		{"empty tool", "crm: contacts.get, READ contact:42", "tool"},
		{"tool with a slash", "crm: contacts/get READ contact:42", "tool"},
		{"tool too long", "crm: " + strings.Repeat("t", 129) + " READ contact:42", "up to 128"},
		{"tool twice", "crm: contacts.get,contacts.get READ contact:42", "named twice"},
		{"severity in small letters", "crm: contacts.get read contact:42", "want READ, WRITE"},
		{"severity unspecified", "crm: contacts.get UNSPECIFIED contact:42", "want READ, WRITE"},
		{"resource without a type", "crm: contacts.get READ 42", "want type:id"},
		{"resource with a star within", "crm: contacts.get READ contact:4*2", "* only at the end"},
		{"empty resource", "crm: contacts.get READ contact:42,", "want type:id"},
		{"resource twice", "crm: contacts.get READ contact:42,contact:42", "named twice"},
		{"space in a list", "crm: contacts.get READ contact:42, contact:43", "want"},
		{"option without a value", ok + " calls", "want CONNECTOR: TOOL"},
		{"unknown option", ok + " size=10", "want calls, bytes"},
		{"option in capitals", ok + " Calls=10", "want calls, bytes"},
		{"option twice", ok + " calls=10 calls=10", "given twice"},
		{"empty value", ok + " calls=", "want a whole number"},
		{"zero calls", ok + " calls=0", "above zero"},
		{"calls below zero", ok + " calls=-1", "above zero"},
		{"sign", ok + " calls=+1", "above zero"},
		{"leading zero", ok + " calls=010", "above zero"},
		{"exponent", ok + " calls=1e3", "above zero"},
		{"hexadecimal", ok + " calls=0x10", "above zero"},
		{"underscore", ok + " calls=1_000", "above zero"},
		{"more than 64 bits", ok + " rows=9223372036854775808", "above zero"},
		{"digits of another script", ok + " tokens=١", "above zero"},
		{"zero bytes", ok + " bytes=0MiB", "above zero"},
		{"decimal unit", ok + " bytes=10MB", "KiB, MiB"},
		{"unit alone", ok + " bytes=MiB", "KiB, MiB"},
		{"unit twice", ok + " bytes=1KiBKiB", "KiB, MiB"},
		{"fraction of a unit", ok + " bytes=1.5MiB", "KiB, MiB"},
		{"bytes that overflow", ok + " bytes=8388608TiB", "KiB, MiB"},
		{"bytes that overflow to zero", ok + " bytes=16777216TiB", "KiB, MiB"},
		{"zero dollars", ok + " usd=0.000000", "above zero"},
		{"dollars below zero", ok + " usd=-1", "above zero"},
		{"seven places", ok + " usd=0.0000001", "six decimal places"},
		{"no whole part", ok + " usd=.5", "six decimal places"},
		{"no places", ok + " usd=5.", "six decimal places"},
		{"dollars with a leading zero", ok + " usd=05", "six decimal places"},
		{"dollars with a comma", ok + " usd=1,5", "six decimal places"},
		{"not a number", ok + " usd=NaN", "six decimal places"},
		{"dollars that overflow", ok + " usd=9223372036855", "six decimal places"},
		{"a date alone", ok + " until=2030-01-31", "RFC 3339"},
		{"no zone", ok + " until=2030-01-31T18:00:00", "RFC 3339"},
		{"a comma for the point", ok + " until=2030-01-31T18:00:00,5Z", "RFC 3339"},
		{"a month too many", ok + " until=2030-13-31T18:00:00Z", "RFC 3339"},
		{"the zero time, which would be no end at all", ok + " until=0001-01-01T00:00:00Z", "RFC 3339"},
		{"the epoch", ok + " until=1970-01-01T00:00:00Z", "between 1970 and 9999"},
		{"a year that RFC 3339 cannot say", ok + " until=9999-12-31T23:59:59-01:00", "between 1970 and 9999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := grant.Parse(tt.text)
			require.ErrorContains(t, err, tt.saying)
			require.Zero(t, got, "nothing half parsed comes back")
		})
	}
}

func TestAmounts(t *testing.T) {
	tests := []struct {
		option, canonical string
		want              grant.Limits
	}{
		{"bytes=1", "bytes=1", grant.Limits{Bytes: 1}},
		{"bytes=1024", "bytes=1KiB", grant.Limits{Bytes: 1024}},
		{"bytes=1025", "bytes=1025", grant.Limits{Bytes: 1025}},
		{"bytes=2048MiB", "bytes=2GiB", grant.Limits{Bytes: 2 << 30}},
		{"bytes=8388607TiB", "bytes=8388607TiB", grant.Limits{Bytes: 8388607 << 40}},
		{"usd=1", "usd=1", grant.Limits{MicroUSD: 1_000_000}},
		{"usd=0.000001", "usd=0.000001", grant.Limits{MicroUSD: 1}},
		{"usd=12.340", "usd=12.34", grant.Limits{MicroUSD: 12_340_000}},
		{"usd=9223372036854.775807", "usd=9223372036854.775807", grant.Limits{MicroUSD: math.MaxInt64}},
		{"calls=9223372036854775807", "calls=9223372036854775807", grant.Limits{Calls: math.MaxInt64}},
	}
	for _, tt := range tests {
		t.Run(tt.option, func(t *testing.T) {
			g := parse(t, "crm: contacts.get READ contact:42 "+tt.option)[0]
			require.Equal(t, tt.want, g.Limits)
			require.Equal(t, "crm: contacts.get READ contact:42 "+tt.canonical, g.String())
		})
	}
}

func TestValidateLimits(t *testing.T) {
	for _, l := range []grant.Limits{{Calls: -1}, {Bytes: -1}, {Rows: -1}, {Tokens: -1}, {MicroUSD: -1}} {
		g := parse(t, "crm: contacts.get READ contact:42")[0]
		g.Limits = l
		require.ErrorContains(t, g.Validate(), "below zero")
	}
}

func TestToolMatches(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"contacts.get", "contacts.get", true},
		{"contacts.get", "contacts.getall", false},
		{"contacts.*", "contacts.get", true},
		{"contacts.*", "contacts.", true},
		{"contacts.*", "contactsXget", false},
		{"contacts.*", "contacts.*", false},
		{"*", "contacts.get", false},
		{"", "", false},
		{"contacts.get", "", false},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, grant.ToolMatches(tt.pattern, tt.name), "%q on %q", tt.pattern, tt.name)
	}
}

func TestStringRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGrant(t)
		amount := rapid.Int64Range(0, math.MaxInt64)
		g.Limits = grant.Limits{
			Calls: amount.Draw(t, "calls"), Bytes: amount.Draw(t, "bytes"), Rows: amount.Draw(t, "rows"),
			Tokens: amount.Draw(t, "tokens"), MicroUSD: amount.Draw(t, "micro usd"),
		}
		back, err := grant.Parse(g.String())
		require.NoError(t, err)
		require.Equal(t, g, back)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("crm: contacts.get READ contact:42")
	f.Add("crm: contacts.get,notes.* ADMIN contact:*,note:eu-* calls=10 bytes=10MiB rows=5 tokens=7 usd=2.50 until=2030-01-31T18:00:00.5+01:00")
	f.Add("crm: * READ *")
	f.Add("crm: a READ x:é usd=0.000001 bytes=8388607TiB")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := grant.Parse(text)
		if err != nil {
			require.Zero(t, g)
			return
		}
		require.NoError(t, g.Validate())
		require.NotContains(t, g.Tools, "*")
		back, err := grant.Parse(g.String())
		require.NoError(t, err, "%q", g.String())
		require.Equal(t, g, back)
		require.Equal(t, g.String(), back.String())
		require.Equal(t, grant.Digest([]grant.Grant{g}), grant.Digest([]grant.Grant{back}))
		require.NoError(t, subset([]grant.Grant{back}, []grant.Grant{g}), "a grant is within itself")
	})
}

func FuzzParseResource(f *testing.F) {
	for _, s := range []string{"contact:42", "contact:*", "contact:eu-*", "*", "file:re\u0301", "a:b:*"} {
		f.Add(s, "contact:42")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		p, err := grant.ParsePattern(one)
		if err != nil {
			_, err = grant.ParseResource(one)
			require.Error(t, err, "a resource is a pattern of itself")
			return
		}
		r, err := grant.ParseResource(two)
		if err != nil || !p.Covers(r) {
			return
		}
		kind, _, _ := strings.Cut(two, ":")
		require.True(t, strings.HasPrefix(one, kind+":"), "no pattern covers two types")
		if !strings.HasSuffix(one, "*") {
			require.Equal(t, one, two)
		}
	})
}
