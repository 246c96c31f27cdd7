package testenv

import (
	"time"

	"github.com/onedoor/onedoor/server/config"
)

// AssertionIssuer is who signs the assertions of a broker that is [Signing], and
// AssertionAudience the internal service for which tests have them made.
const (
	AssertionIssuer   = "https://broker.test"
	AssertionAudience = "https://things.internal"
)

// Signing has a broker make assertions, whose keys go through their lives in the given
// times.
func Signing(lead, active, retire time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		c.Assertions = config.Assertions{
			Issuer: AssertionIssuer, Lead: config.Duration(lead), Active: config.Duration(active), Retire: config.Duration(retire),
		}
	}
}
