package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/task"
)

func TestLiveAndStateAt(t *testing.T) {
	end := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		state task.State
		at    time.Time
		live  bool
		want  task.State
	}{
		{"active before its end", task.Active, end.Add(-1), true, task.Active},
		{"active at its end", task.Active, end, false, task.Expired},
		{"active after its end", task.Active, end.Add(1), false, task.Expired},
		{"active, in another zone", task.Active, end.Add(-1).In(time.FixedZone("", 7200)), true, task.Active},
		{"pending before its end", task.Pending, end.Add(-1), false, task.Pending},
		{"ended before its end", task.Ended, end.Add(-1), false, task.Ended},
		{"revoked before its end", task.Revoked, end.Add(-1), false, task.Revoked},
		{"revoked stays revoked after its end", task.Revoked, end.Add(1), false, task.Revoked},
		{"expired", task.Expired, end.Add(-1), false, task.Expired},
		{"no state", "", end.Add(-1), false, ""},
		{"a state that does not exist", "active", end.Add(-1), false, "active"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tk := task.Task{State: tt.state, ExpiresAt: end}
			require.Equal(t, tt.live, tk.Live(tt.at))
			require.Equal(t, tt.want, tk.StateAt(tt.at))
		})
	}
	var zero task.Task
	require.False(t, zero.Live(time.Time{}), "the zero task is not live")
	endless := task.Task{State: task.Active}
	require.False(t, endless.Live(end), "a task without an end is not live")
}
