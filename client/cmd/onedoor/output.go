package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// show prints an answer: with -o json as it is, else the table that fill writes.
func (s *session) show(answer proto.Message, fill func(t *table)) error {
	if s.json {
		text, err := messageJSON(answer)
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			return err
		}
		indented.WriteByte('\n')
		_, err = s.stdout.Write(indented.Bytes())
		return err
	}
	t := &table{w: tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)}
	fill(t)
	return t.w.Flush()
}

// messageJSON gives protobuf JSON on one line. Fields that are empty are there as well,
// so that a script may index them. It is the one place that prints a message with a
// secret in it: the answer to `task create`, which is there to show the key.
func messageJSON(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	// protojson puts spaces at random, so that nobody relies on its bytes.
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// table is aligned output for people.
type table struct{ w *tabwriter.Writer }

// row writes one line of cells; an empty cell is shown as a dash.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = clean(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// line writes one line that is no row.
func (t *table) line(format string, args ...any) {
	fmt.Fprintln(t.w, clean(fmt.Sprintf(format, args...)))
}

// clean replaces everything that a terminal might obey or that would break a table:
// names in an audit trail may have been chosen by whoever attacked.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// cleanLines is clean for a text of several lines. All but the first are indented, so
// that none of them passes for a message of its own.
func cleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n  ")
}

// moment shows a time in the local zone; unset is empty.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format(time.RFC3339)
}

// enum shows a protobuf enum's value without its prefix.
func enum(v fmt.Stringer, prefix string) string { return strings.TrimPrefix(v.String(), prefix) }

func severity(v onedoorv1.Severity) string { return enum(v, "SEVERITY_") }

// readFile reads a file, or stdin for "-", of at most so many bytes.
func (s *session) readFile(path string, most int64) ([]byte, error) {
	r := s.stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the user names it
		if err != nil {
			return nil, usageError{err.Error()}
		}
		defer f.Close()
		r = f
	}
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, usageError{fmt.Sprintf("%s is larger than the %d bytes that the broker takes", path, most)}
	}
	return content, nil
}
