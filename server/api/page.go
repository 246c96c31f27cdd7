package api

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

const defaultPage = 50

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(asked)
}

// page is where a listing goes on. Its token holds only what the caller has seen, and
// is judged like any other input: it widens nothing.
type page struct {
	Time time.Time `json:"t"`
	ID   string    `json:"i"`
	Seq  int64     `json:"s,omitempty"`
}

func (p page) token() string {
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func readPage(token string) (page, error) {
	var p page
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.Time.IsZero() || p.ID == "" {
		return page{}, fault.Invalid("page_token", "not a token of this listing: take it from nextPageToken, or leave it out")
	}
	return p, nil
}
