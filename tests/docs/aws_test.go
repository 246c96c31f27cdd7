package docs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

// The manifests of the page on AWS parse, and narrow as it says.
func TestTheAWSExamples(t *testing.T) {
	examples := blocks(read(t, "docs/credentials-aws.md"), "yaml")
	require.Len(t, examples, 2)
	reports, err := connector.Parse([]byte(examples[0]))
	require.NoError(t, err)
	aws := reports.Slots["main"].AWS
	for _, call := range []struct{ tool, arguments, request, action, arn string }{
		{"report.get", `{"id":"q1"}`, "GET /acme-reports/q1", `"s3:GetObject","s3:PutObject"`, "arn:aws:s3:::acme-reports/q1"},
		{"report.put", `{"id":"q1","total":7}`, "PUT /acme-reports/q1", `"s3:GetObject","s3:PutObject"`, "arn:aws:s3:::acme-reports/q1"},
		{"report.list", `{"beginning":"q"}`, "GET /acme-reports?prefix=q", `"s3:ListBucket"`, "arn:aws:s3:::acme-reports"},
	} {
		b, err := reports.Bind(call.tool, []byte(call.arguments))
		require.NoError(t, err)
		request := b.Method + " " + b.Path
		if b.Query != "" {
			request += "?" + b.Query
		}
		require.Equal(t, call.request, request)
		policy, err := aws.SessionPolicy(b.Resources)
		require.NoError(t, err)
		require.Equal(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[`+call.action+`],"Resource":["`+call.arn+`"]}]}`, policy)
	}
	people, err := connector.Parse([]byte(examples[1]))
	require.NoError(t, err)
	b, err := people.Bind("person.get", []byte(`{"TableName":"people","Key":{"id":{"S":"7"}}}`))
	require.NoError(t, err)
	require.Equal(t, "application/x-amz-json-1.0", b.Header.Get("Content-Type"))
	require.Equal(t, `{"TableName":"people","Key":{"id":{"S":"7"}}}`, string(b.Body))
}
