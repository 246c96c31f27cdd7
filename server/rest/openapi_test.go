package rest_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

type object = map[string]any

func document(t testing.TB) object {
	var doc object
	require.NoError(t, json.Unmarshal(rest.OpenAPI(), &doc))
	return doc
}

func TestTheDocumentIsTheSameEveryTime(t *testing.T) {
	require.Equal(t, string(rest.OpenAPI()), string(rest.OpenAPI()))
}

// httpRules lists the routes of the API as the .proto files declare them.
func httpRules(t testing.TB) map[string]bool {
	rules := map[string]bool{}
	for _, file := range []protoreflect.FileDescriptor{
		onedoorv1.File_onedoor_v1_broker_proto, onedoorv1.File_onedoor_v1_task_proto, onedoorv1.File_onedoor_v1_connector_proto,
		onedoorv1.File_onedoor_v1_credential_proto, onedoorv1.File_onedoor_v1_audit_proto, onedoorv1.File_onedoor_v1_keys_proto,
		onedoorv1.File_onedoor_v1_usage_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if methods.Get(j).FullName() == "onedoor.v1.Broker.Relay" {
					continue // its form is the provider's: /c/CONNECTOR/…
				}
				rule, ok := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
				require.True(t, ok && rule != nil, "%s has no route", methods.Get(j).FullName())
				switch p := rule.GetPattern().(type) {
				case *annotations.HttpRule_Get:
					rules["get "+p.Get] = true
				case *annotations.HttpRule_Post:
					rules["post "+p.Post] = true
				case *annotations.HttpRule_Delete:
					rules["delete "+p.Delete] = true
				default:
					t.Fatalf("%s: no test for its method", methods.Get(j).FullName())
				}
			}
		}
	}
	return rules
}

func TestEveryRouteIsDescribedAndServed(t *testing.T) {
	described := map[string]bool{}
	for path, operations := range document(t)["paths"].(object) {
		for method := range operations.(object) {
			described[method+" "+path] = true
		}
	}
	rules := httpRules(t)
	require.Equal(t, rules, described)
	require.Greater(t, len(rules), 15)

	conn, _ := connect(t, &broker{})
	h := rest.NewHandler(conn, rest.Options{})
	for rule := range rules {
		method, path, _ := strings.Cut(rule, " ")
		path = regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(path, "x")
		r := post(path, "")
		r.Method = strings.ToUpper(method)
		w := ask(h, r)
		require.NotContains(t, []int{404, 405}, w.Code, rule)
	}
}

// The document holds together: references lead somewhere and nothing is left over,
// path parameters are declared, operations have a name, answers and a way in.
func TestTheDocumentHoldsTogether(t *testing.T) {
	doc := document(t)
	require.Equal(t, "3.1.0", doc["openapi"])
	require.Equal(t, "Onedoor", doc["info"].(object)["title"])
	components := doc["components"].(object)

	used := map[string]bool{}
	walk(doc, func(o object) {
		ref, ok := o["$ref"].(string)
		if !ok {
			return
		}
		parts := strings.Split(ref, "/")
		require.Len(t, parts, 4, ref)
		require.Equal(t, []string{"#", "components"}, parts[:2])
		require.Contains(t, components[parts[2]], parts[3])
		used[parts[2]+"/"+parts[3]] = true
	})
	for name := range components["schemas"].(object) {
		require.True(t, used["schemas/"+name], "%s is not used", name)
	}

	ids := map[any]bool{}
	for path, operations := range doc["paths"].(object) {
		for method, o := range operations.(object) {
			operation := o.(object)
			require.False(t, ids[operation["operationId"]], "%s %s", method, path)
			ids[operation["operationId"]] = true
			requireOperation(t, components, method, path, operation)
		}
	}
	require.NotContains(t, string(rest.OpenAPI()), "argumentsJson")
	require.NotContains(t, string(rest.OpenAPI()), "google.rpc.Status")
}

func requireOperation(t *testing.T, components object, method, path string, operation object) {
	name := method + " " + path
	parameters, _ := operation["parameters"].([]any)
	inPath := map[string]bool{}
	for _, p := range parameters {
		require.Contains(t, p, "schema", name)
		if p.(object)["in"] == "path" {
			require.Equal(t, true, p.(object)["required"], name)
			inPath[p.(object)["name"].(string)] = true
		}
	}
	for _, match := range regexp.MustCompile(`\{([a-z_]+)\}`).FindAllStringSubmatch(path, -1) {
		require.True(t, inPath[match[1]], "%s: %s is not declared", name, match[1])
	}

	body, hasBody := operation["requestBody"].(object)
	require.Equal(t, method == "post", hasBody, name)
	if hasBody {
		schema := body["content"].(object)["application/json"].(object)["schema"].(object)
		require.Equal(t, false, schema["additionalProperties"], name)
		for parameter := range inPath {
			require.NotContains(t, schema["properties"], parameter, name)
		}
	}

	responses := operation["responses"].(object)
	for _, code := range []string{"200", "400", "401", "403", "404", "409", "429", "500", "503", "504"} {
		require.Contains(t, responses, code, name)
	}
	require.NotContains(t, responses, "default")
	require.Contains(t, responses["200"], "description", name)
	require.Equal(t, hasBody, responses["413"] != nil && responses["415"] != nil, name)

	for _, way := range operation["security"].([]any) {
		for scheme := range way.(object) {
			require.Contains(t, components["securitySchemes"], scheme, name)
		}
		_, keyed := way.(object)["taskKey"]
		require.Equal(t, fmt.Sprint(operation["tags"]) == "[Broker]", keyed, name)
	}
}

func TestTheDocumentSaysWhatInvokeTakesAndGives(t *testing.T) {
	doc := document(t)
	for _, path := range []string{"/v1/invoke", "/v1/invoke:stream", "/v1/explain"} {
		operation := doc["paths"].(object)[path].(object)["post"].(object)
		schema := operation["requestBody"].(object)["content"].(object)["application/json"].(object)["schema"].(object)
		require.Contains(t, schema["properties"], "arguments", path)
		require.Equal(t, []any{"connector", "tool"}, schema["required"], path)
	}
	schemas := doc["components"].(object)["schemas"].(object)
	answer := schemas["onedoor.v1.InvokeResponse"].(object)["properties"].(object)
	require.NotContains(t, answer["body"], "type", "any JSON value")
	require.Contains(t, answer, "bodyBase64")
	streamed := doc["paths"].(object)["/v1/invoke:stream"].(object)["post"].(object)["responses"].(object)["200"].(object)["content"].(object)
	require.Len(t, streamed, 1)
	require.Contains(t, streamed, "application/x-ndjson")
}

// walk visits every object of a document.
func walk(v any, visit func(object)) {
	switch v := v.(type) {
	case object:
		visit(v)
		for _, sub := range v {
			walk(sub, visit)
		}
	case []any:
		for _, sub := range v {
			walk(sub, visit)
		}
	}
}
