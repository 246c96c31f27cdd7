package connector_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// desk is a connector of kind http whose tools have what those of models have not.
func desk(t testing.TB) *connector.Connector {
	t.Helper()
	text, err := os.ReadFile("testdata/desk.yaml")
	require.NoError(t, err)
	return parsed(t, string(text))
}

const (
	form  = "application/x-www-form-urlencoded"
	patch = "application/merge-patch+json"
)

// typedAs is a request with a body of some type.
func typedAs(contentType, text, body string) connector.Request {
	r := request(text, body)
	r.ContentType = contentType
	return r
}

// What matches a tool is bound to the request that was asked for.
func TestMatchHTTP(t *testing.T) {
	c := desk(t)
	for _, tt := range []struct {
		name, contentType, request, body string
		tool, arguments                  string
		path, query, sent                string
	}{
		{"an address in the path", "", "GET /calendars/ann@example.com", "", "calendars.get", `{"calendar":"ann@example.com"}`, "/calendars/ann@example.com", "", ""},
		{"an address, escaped", "", "GET /calendars/ann%40example.com%3Aa%3ab", "", "calendars.get", `{"calendar":"ann@example.com:a:b"}`, "/calendars/ann@example.com:a:b", "", ""},
		{"two arguments in the path", "", "GET /calendars/ann%40example.com/events/7", "", "events.get", `{"calendar":"ann@example.com","event":7}`, "/calendars/ann@example.com/events/7", "", ""},
		{"a colon that is fixed text", "", "POST /calendars/a:purge", "", "calendars.purge", `{"calendar":"a"}`, "/calendars/a:purge", "", ""},
		{"a colon that is the argument's", "", "POST /calendars/a:b", "", "calendars.touch", `{"calendar":"a:b"}`, "/calendars/a:b", "", ""},
		{"commas", "", "GET /tickets?ids=1,2%2C3", "", "tickets.list", `{"ids":[1,2,3]}`, "/tickets", "ids=1,2,3", ""},
		{"a list of one", "", "GET /tickets?ids=1", "", "tickets.list", `{"ids":[1]}`, "/tickets", "ids=1", ""},
		{"one where a list may be", "", "GET /tickets?state=open", "", "tickets.list", `{"states":"open"}`, "/tickets", "state=open", ""},
		{"a list where one may be", "", "GET /tickets?state=open&state=done", "", "tickets.list", `{"states":["open","done"]}`, "/tickets", "state=open&state=done", ""},
		{"types by reference, by value and by choice", "", "GET /tickets?page=2&order=1&mine=true", "", "tickets.list", `{"page":2,"order":1,"mine":true}`, "/tickets", "page=2&order=1&mine=true", ""},
		{"HEAD", "", "HEAD /tickets/7", "", "tickets.head", `{"id":7}`, "/tickets/7", "", ""},
		{"another type of JSON", patch, "PATCH /tickets/7", `{"tags":[1.0],"text":"a"}`, "tickets.patch", `{"id":7,"tags":[1.0],"text":"a"}`, "/tickets/7", "", `{"tags":[1.0],"text":"a"}`},
		{"a form", form, "POST /charges?dry=true", "amount=100&currency=eur&expand[]=a&expand%5B%5D=b+c&metadata%5Border%5D=%2B1&capture=false", "charges.create",
			`{"dry":true,"amount":100,"currency":"eur","expand":["a","b c"],"order":"+1","capture":false}`, "/charges", "dry=true",
			"amount=100&currency=eur&expand%5B%5D=a&expand%5B%5D=b%20c&metadata%5Border%5D=%2B1&capture=false"},
		{"a form, and its charset", form + "; charset=UTF-8", "POST /charges", "amount=1", "charges.create", `{"amount":1}`, "/charges", "", "amount=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool, arguments, err := c.Match(typedAs(tt.contentType, tt.request, tt.body))
			require.NoError(t, err)
			require.Equal(t, tt.tool, tool)
			require.JSONEq(t, tt.arguments, string(arguments))
			b, err := c.Bind(tool, arguments)
			require.NoError(t, err)
			require.Equal(t, []string{tt.path, tt.query, tt.sent}, []string{b.Path, b.Query, string(b.Body)})
			checkBound(t, b)
		})
	}
}

func TestMatchHTTPRefuses(t *testing.T) {
	c := desk(t)
	for _, tt := range []struct{ name, contentType, request, body, field string }{
		{"an escape of what needs none", "", "GET /calendars/%61nn", "", "path"},
		{"an escape within an escape", "", "GET /calendars/ann%2540example.com", "", "path"},
		{"an escaped slash", "", "GET /calendars/ann%2fevents%2f7", "", "path"},
		{"dots with an address", "", "GET /calendars/../calendars/ann@example.com", "", "path"},
		{"another tool's path, escaped", "", "POST /calendars/a%3Apurge", "", "path"},
		{"empty text between commas", "", "GET /tickets?near=a,,b", "", "near"},
		{"a list of commas twice", "", "GET /tickets?ids=1&ids=2", "", "ids"},
		{"no integer between commas", "", "GET /tickets?ids=1,x", "", "ids"},
		{"the credential's parameter", "", "GET /tickets?token=mine", "", "token"},
		{"a method in the query", "", "POST /charges?_method=DELETE", "", "_method"},
		{"a method in the form", form, "POST /charges", "amount=1&_method=DELETE", "_method"},
		{"a method in the body", patch, "PATCH /tickets/7", `{"_method":"DELETE"}`, "_method"},
		{"JSON for a form", "application/json", "POST /charges", `{"amount":1}`, "content-type"},
		{"a form for JSON", form, "PATCH /tickets/7", "text=a", "content-type"},
		{"JSON of another type", "application/json", "PATCH /tickets/7", `{"text":"a"}`, "content-type"},
		{"parts for a form", "multipart/form-data; boundary=x", "POST /charges", "--x--", "content-type"},
		{"a form in another charset", form + "; charset=utf-16", "POST /charges", "amount=1", "content-type"},
		{"a form's parameter twice", form, "POST /charges", "amount=1&amount=2", "amount"},
		{"a form's parameter twice, hidden", form, "POST /charges", "amount=1&%61mount=2", "amount"},
		{"a form's parameter in the query", form, "POST /charges?amount=1", "amount=1", "amount"},
		{"the query's parameter in the form", form, "POST /charges", "amount=1&dry=true", "dry"},
		{"a semicolon in a form", form, "POST /charges", "amount=1;currency=eur", "amount"},
		{"an end of line in a form", form, "POST /charges", "amount=1\n", "amount"},
		{"a form's parameter without a value", form, "POST /charges", "amount", "form"},
		{"a member like a form's parameter", form, "POST /charges", "amount=1&metadata[other]=1", "metadata[other]"},
		{"a body with HEAD", "application/json", "HEAD /tickets/7", "{}", "body"},
		{"a form that is too long", form, "POST /charges", "currency=" + strings.Repeat("a", 8<<20), "body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool, arguments, err := c.Match(typedAs(tt.contentType, tt.request, tt.body))
			if err == nil {
				_, err = c.Bind(tool, arguments)
			}
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Contains(t, fault.From(err).Metadata["field"], tt.field, err.Error())
		})
	}
}

// No method stands for another one.
func TestMatchOtherMethods(t *testing.T) {
	c := desk(t)
	for _, one := range []string{"HEAD /tickets", "OPTIONS /tickets", "DELETE /tickets/7", "GET /tickets/7", "PUT /tickets/7", "get /tickets", "TRACE /tickets", "CONNECT /tickets", "GET /calendars/a:b/events/7", "GET /calendars/a%3Ab/events/7"} {
		_, _, err := c.Match(request(one, ""))
		require.True(t, fault.Is(err, fault.ToolUnknown), "%s: %v", one, err)
	}
	_, _, err := c.Match(request("HEAD /tickets", ""))
	require.ErrorContains(t, err, "HEAD is asked by itself")
}

// A separator in a resource is never a character that its argument may hold: no two
// calendars' events come to one resource.
func TestPathCharacters(t *testing.T) {
	text, err := os.ReadFile("testdata/desk.yaml")
	require.NoError(t, err)
	for name, tt := range map[string]struct{ old, now, want string }{
		"a separator":                  {`event:{calendar}/{event}`, `event:{calendar}@{event}`, "which it cannot hold itself"},
		"a slash":                      {`path_characters: "@"`, `path_characters: "/"`, "path_characters: want"},
		"an escape":                    {`path_characters: "@"`, `path_characters: "%"`, "path_characters: want"},
		"twice the same":               {`path_characters: "@"`, `path_characters: "@@"`, "path_characters: want"},
		"every path is an earlier one": {"name: calendars.purge\n    severity: DESTRUCTIVE\n    method: POST", "name: calendars.purge\n    severity: READ\n    method: GET", "the more exact path must stand first"},
		"form and body":                {"form: {amount: amount,", "body: [dry]\n    form: {amount: amount,", "exclude each other"},
		"an empty form":                {`form: {amount: amount, currency: currency, "expand[]": expand, "metadata[order]": order, capture: capture}`, "form: {}", "at least one parameter"},
		"a form with GET":              {"name: charges.create\n    severity: DESTRUCTIVE\n    method: POST", "name: charges.create\n    severity: READ\n    method: GET", "GET has no body"},
		"a form of another type":       {"form: {amount: amount,", "headers: {Content-Type: application/json}\n    form: {amount: amount,", "its own Content-Type"},
		"a parameter twice":            {"form: {amount: amount,", "form: {amount: amount, Amount: currency,", "the name is taken"},
		"commas for what is no list":   {"page: page, order", "page: {argument: page, list: comma}, order", "is for an array"},
		"another way to list":          {"{argument: near, list: comma}", "{argument: near, list: pipe}", "want repeat or comma"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, string(text), tt.old)
			_, err := connector.Parse([]byte(strings.Replace(string(text), tt.old, tt.now, 1)))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err = connector.Parse([]byte(strings.ReplaceAll(typed, "query: {alt: alt}\n    body: [text, max]", "query: {alt: alt}\n    form: {text: text, max: max}")))
	require.ErrorContains(t, err, "the body of a model connector's tool is JSON")
	for _, value := range []string{"a,b", ""} {
		_, err := desk(t).Bind("tickets.list", []byte(`{"near":["`+value+`"]}`))
		require.ErrorContains(t, err, "between commas")
	}
	_, err = desk(t).Bind("calendars.touch", []byte(`{"calendar":"a:purge"}`))
	require.ErrorContains(t, err, "this is a call of the tool calendars.purge")
	_, err = desk(t).Bind("events.get", []byte(`{"calendar":"a:b","event":1}`))
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
}

// FuzzMatchHTTP: what another reader sees of the request that is sent is what it sees of
// the one that was asked for.
func FuzzMatchHTTP(f *testing.F) {
	c := desk(f)
	for _, one := range []struct{ contentType, request, body string }{
		{"", "GET /calendars/ann%40example.com%3A1", ""}, {"", "GET /calendars/a@b/events/7", ""}, {"", "POST /calendars/a:purge", ""}, {"", "POST /calendars/a%3apurge", ""},
		{"", "GET /tickets?ids=1,2%2C3&state=open&state=done&page=2&near=a%20b,c", ""}, {patch, "PATCH /tickets/7", `{"text":"a","tags":[1.10]}`},
		{form, "POST /charges?dry=true", "amount=1&expand[]=a+b&expand%5B%5D=%2B&metadata[order]=%26%3D"},
	} {
		f.Add(one.contentType, one.request, one.body)
	}
	f.Fuzz(func(t *testing.T, contentType, text, body string) {
		r := typedAs(contentType, text, body)
		tool, b := matched(t, c, r)
		if b == nil {
			return
		}
		if b.Tool.Name != tool {
			t.Fatalf("%s became %s", tool, b.Tool.Name)
		}
		checkBound(t, b)
		checkSame(t, r, b)
	})
}
