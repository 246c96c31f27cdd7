package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

var errRows = errors.New("the rows of the answer cannot be counted")

// CountRows counts the elements of the array to which the tool's rows pointer (RFC
// 6901) leads in an answer. An answer that is no success may lack it, and holds no rows then.
func (t *Tool) CountRows(body []byte, status int) (int64, error) {
	success := status >= 200 && status < 300
	if !t.RowsCounted {
		return 0, errRows
	}
	if success && len(bytes.TrimSpace(body)) == 0 {
		return 0, nil
	}
	var rows []json.RawMessage
	if err := follow(body, t.Rows, &rows); err != nil {
		if success {
			return 0, err
		}
		return 0, nil
	}
	return int64(len(rows)), nil
}

// follow decodes what the pointer names into rows.
func follow(body []byte, pointer string, rows *[]json.RawMessage) error {
	current := json.RawMessage(body)
	if pointer != "" {
		for _, token := range strings.Split(pointer, "/")[1:] {
			token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
			next, ok := step(current, token)
			if !ok {
				return errRows
			}
			current = next
		}
	}
	if err := json.Unmarshal(current, rows); err != nil || *rows == nil {
		return errRows
	}
	return nil
}

func step(value json.RawMessage, token string) (json.RawMessage, bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil && object != nil {
		next, ok := object[token]
		return next, ok
	}
	var array []json.RawMessage
	i, err := strconv.Atoi(token)
	if json.Unmarshal(value, &array) != nil || err != nil || i < 0 || i >= len(array) {
		return nil, false
	}
	return array[i], true
}
