package assertions_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// java compiles what the page prints, with changes, and our harnesses beside it, and
// gives the command that runs one of them. Each block is a file of its own.
func java(t *testing.T, changes map[string]string) []string {
	t.Helper()
	compiler, runtime := tool(t, "javac"), tool(t, "java")
	jars, err := filepath.Glob(filepath.Join(root, ".java", "*.jar"))
	require.NoError(t, err)
	absent(t, len(jars) == 0, "Java's packages in .java")
	dir, path := t.TempDir(), ""
	for _, jar := range jars {
		absolute, err := filepath.Abs(jar)
		require.NoError(t, err)
		path += absolute + string(filepath.ListSeparator)
	}
	args := []string{"-d", dir, "-cp", path, "-proc:none"}
	for name, program := range map[string]string{
		"Assertions": adapted(t, block(t, "java", "class Assertions"), changes),
		"Binding":    block(t, "java", "class Binding"),
		"Used":       block(t, "java", "class Used"),
	} {
		source := filepath.Join(dir, name+".java")
		require.NoError(t, os.WriteFile(source, []byte(program), 0o600))
		args = append(args, source)
	}
	harnesses, err := filepath.Glob("*.java")
	require.NoError(t, err)
	said, err := exec.CommandContext(t.Context(), compiler, append(args, harnesses...)...).CombinedOutput()
	require.NoError(t, err, string(said))
	// These programs live for seconds: what makes a server fast makes them slow.
	return []string{runtime, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path + dir}
}

func TestJavaNimbus(t *testing.T) {
	command := append(java(t, nil), "Vectors", cases)
	requireVerdicts(t, run(t, command[0], command[1:]...))
}
