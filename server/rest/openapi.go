package rest

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// documents are what the generator makes of the .proto files, one a service, and the
// overlay: what it cannot know about our JSON, as a JSON Merge Patch (RFC 7386).
//
//go:embed openapi/onedoor/v1/*.openapi.json openapi/overlay.json
var documents embed.FS

// object is a JSON object.
type object = map[string]any

// OpenAPI gives the OpenAPI 3.1 document of the API: the same bytes every time. It
// panics if the embedded documents contradict each other, which a test rules out.
func OpenAPI() []byte {
	text, err := json.Marshal(document()) // sorts the keys
	if err != nil {
		panic("rest: " + err.Error())
	}
	return text
}

// document merges the generated documents and the overlay.
func document() object {
	names, err := fs.Glob(documents, "openapi/onedoor/v1/*.openapi.json") // sorted
	if err != nil || len(names) == 0 {
		panic("rest: no OpenAPI documents are embedded")
	}
	paths, schemas, tags := object{}, object{}, []any{}
	for _, name := range names {
		doc := load(name)
		unite(name, paths, at(doc, "paths"))
		unite(name, schemas, at(doc, "components", "schemas"))
		tags = append(tags, doc["tags"].([]any)...)
	}
	merged := object{"openapi": "3.1.0", "paths": paths, "components": object{"schemas": schemas}, "tags": tags}
	patch(merged, load("openapi/overlay.json"))
	for _, operations := range paths {
		for method, operation := range operations.(object) {
			complete(method, operation.(object))
		}
	}
	return merged
}

func load(name string) object {
	text, err := documents.ReadFile(name)
	if err != nil {
		panic("rest: " + err.Error())
	}
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(fmt.Sprintf("rest: %s: %v", name, err))
	}
	return doc
}

// at goes down a document along keys that must exist.
func at(doc object, keys ...string) object {
	for _, key := range keys {
		doc = doc[key].(object)
	}
	return doc
}

// unite adds what is new; what two documents both say they must say alike.
func unite(name string, into, from object) {
	for key, value := range from {
		if had, ok := into[key]; ok && !reflect.DeepEqual(had, value) {
			panic(fmt.Sprintf("rest: %s contradicts another document about %s", name, key))
		}
		into[key] = value
	}
}

// patch applies a JSON Merge Patch: null removes.
func patch(into, by object) {
	for key, value := range by {
		if value == nil {
			delete(into, key)
			continue
		}
		sub, isObject := value.(object)
		if !isObject {
			into[key] = value
			continue
		}
		had, ok := into[key].(object)
		if !ok {
			had = object{}
			into[key] = had
		}
		patch(had, sub)
	}
}

// complete gives an operation what holds for all of them: its errors, who may call it
// and that unknown fields are refused.
func complete(method string, operation object) {
	responses := at(operation, "responses")
	delete(responses, "default")
	codes := []int{400, 401, 403, 404, 409, 429, 500, 503, 504}
	if method == "post" {
		codes = append(codes, 413, 415)
		at(operation, "requestBody", "content", "application/json", "schema")["additionalProperties"] = false
	}
	for _, code := range codes {
		responses[fmt.Sprint(code)] = object{"$ref": "#/components/responses/Error"}
	}
	keyed := slices.Contains(operation["tags"].([]any), "Broker")
	operation["security"] = []any{security("svid", keyed), security("jwtSvid", keyed)}
}

// security is one way to call an operation: all its schemes together.
func security(identity string, keyed bool) object {
	way := object{identity: []any{}}
	if keyed {
		way["taskKey"] = []any{}
	}
	return way
}

// route is one operation: its method and the paths that its template matches.
type route struct {
	method string
	path   *regexp.Regexp
}

// routes lists a document's operations.
func routes(doc object) []route {
	parameter := regexp.MustCompile(`\\\{[a-z_]+\\\}`) // as QuoteMeta leaves it
	var all []route
	for template, operations := range at(doc, "paths") {
		path := regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(template), "[^/]+") + "$")
		for method := range operations.(object) {
			all = append(all, route{strings.ToUpper(method), path})
		}
	}
	return all
}

// allowed lists the methods that a path answers to.
func allowed(all []route, path string) []string {
	methods := map[string]bool{}
	for _, r := range all {
		if r.path.MatchString(path) {
			methods[r.method] = true
		}
	}
	return slices.Sorted(maps.Keys(methods))
}
