// Write makes vectors.json anew: go run ./tests/conformance/assertions/write.
package main

import (
	"fmt"
	"os"

	"github.com/onedoor/onedoor/tests/conformance/assertions"
)

func main() {
	text, err := assertions.Generate()
	if err == nil {
		err = os.WriteFile("tests/conformance/assertions/vectors.json", text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
