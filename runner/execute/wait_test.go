package execute

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil(t *testing.T) {
	failed, stopped := errors.New("refused"), errors.New("interrupted")
	for _, test := range []struct {
		name    string
		answers []error // nil: not yet; errDone: done; the last one repeats
		stop    time.Duration
		done    bool
		err     error
		asked   int
		took    time.Duration
	}{
		{name: "at once", answers: []error{errDone}, done: true, asked: 1},
		{name: "at the third time", answers: []error{nil, nil, errDone}, done: true, asked: 3, took: 4 * time.Second},
		{name: "an error", answers: []error{nil, failed}, err: failed, asked: 2, took: 2 * time.Second},
		{name: "the limit", answers: []error{nil}, asked: 5, took: 9 * time.Second},
		{name: "interrupted", answers: []error{nil}, stop: 3 * time.Second, err: stopped, asked: 2, took: 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.stop > 0 {
					time.AfterFunc(test.stop, func() { cancel(stopped) })
				}
				begin, asked := time.Now(), 0
				done, err := Until(ctx, 9*time.Second, 2*time.Second, func(context.Context) (bool, error) {
					answer := test.answers[min(asked, len(test.answers)-1)]
					asked++
					if answer == errDone {
						return true, nil
					}
					return false, answer
				})
				if done != test.done || !errors.Is(err, test.err) || asked != test.asked || time.Since(begin) != test.took {
					t.Errorf("got %t, %v after %d questions and %s, want %+v", done, err, asked, time.Since(begin), test)
				}
			})
		})
	}
}

var errDone = errors.New("done")

// A question that the limit cuts off is late, and no failure.
func TestUntilAnswerIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done, err := Until(t.Context(), time.Second, time.Second, func(ctx context.Context) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		})
		if done || err != nil {
			t.Errorf("got %t, %v, want that it is not done", done, err)
		}
	})
}
