package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "onedoor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
	upstream, origin, err := startUpstream(ca)
	defer upstream.stop()
	if err != nil {
		return err
	}
	w, err := newWorld(dir)
	if err != nil {
		return err
	}
	defer w.authority.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	floor, err := start(self, "floor", w.sockets["floor"], origin+"/record/42", ca)
	defer floor.stop()
	if err != nil {
		return err
	}
	broker, err := w.startBroker(ctx, o, origin, ca)
	defer broker.stop()
	if err != nil {
		return err
	}
	direct, err := directTarget(origin, ca)
	if err != nil {
		return err
	}
	floorTarget, err := w.grpcTarget(ctx, "floor", floor.cmd.Process.Pid, floor.lines[0], "floor", "", "bench", o.callers)
	if err != nil {
		return err
	}
	onedoor, err := w.grpcTarget(ctx, "onedoor", broker.cmd.Process.Pid, w.address, "broker", w.key, "bench", o.callers)
	if err != nil {
		return err
	}
	if o.scrubbing {
		open, err := w.grpcTarget(ctx, "open", broker.cmd.Process.Pid, w.address, "broker", w.key, "open", o.callers)
		if err != nil {
			return err
		}
		return compareTwo(ctx, o, onedoor, open)
	}
	if o.profile != "" {
		stop := w.profile(o.profile, time.Duration(3*(o.rounds+1))*o.round)
		defer stop()
	}
	return compare(ctx, o, direct, floorTarget, onedoor)
}

// compareTwo is compare for a connector that attaches a credential and one that does not:
// the difference is to open, attach and scrub it.
func compareTwo(ctx context.Context, o options, with, without target) error {
	var rates, cpus, p50s []float64
	for round := range o.rounds + 1 {
		order, samples := []target{with, without}, map[string]sample{}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, t := range order {
			s, err := closedLoop(ctx, t, o.callers, o.round)
			if err != nil {
				return err
			}
			samples[t.name] = s
		}
		if a, b := samples[with.name], samples[without.name]; round > 0 {
			rates, cpus = append(rates, a.perSecond/b.perSecond), append(cpus, float64(a.cpu)/float64(b.cpu))
			p50s = append(p50s, float64(a.p50)/float64(b.p50))
		}
	}
	fmt.Printf("%d callers, medians of %d interleaved rounds\n%s / %s:  calls/s %.3f   CPU a call %.3f   p50 %.3f\n",
		o.callers, o.rounds, with.name, without.name, median(rates), median(cpus), median(p50s))
	return nil
}

// compare runs the rounds and prints the medians of the ratios.
func compare(ctx context.Context, o options, direct, floor, onedoor target) error {
	results := map[string][]sample{}
	for round := range o.rounds + 1 {
		for _, t := range []target{direct, floor, onedoor} {
			s, err := closedLoop(ctx, t, o.callers, o.round)
			if err != nil {
				return err
			}
			if round == 0 {
				continue // connections and caches warm up
			}
			results[t.name] = append(results[t.name], s)
			fmt.Printf("round %d  %-8s %8.0f calls/s  p50 %8s  p99 %8s  server CPU %6s a call\n", round, t.name, s.perSecond,
				s.p50.Round(time.Microsecond), s.p99.Round(time.Microsecond), s.cpu.Round(time.Microsecond))
		}
	}
	ratio := func(f func(a, b sample) float64, of, by string) float64 {
		var values []float64
		for i := range results[of] {
			values = append(values, f(results[of][i], results[by][i]))
		}
		return median(values)
	}
	rate := func(a, b sample) float64 { return a.perSecond / b.perSecond }
	cpu := func(a, b sample) float64 { return float64(a.cpu) / float64(b.cpu) }
	p50 := func(a, b sample) float64 { return float64(a.p50) / float64(b.p50) }
	p99 := func(a, b sample) float64 { return float64(a.p99) / float64(b.p99) }
	fmt.Printf("\n%d callers, medians of %d interleaved rounds\n", o.callers, o.rounds)
	fmt.Printf("onedoor / floor:   calls/s %.2f   CPU a call %.2f   p50 %.2f   p99 %.2f\n",
		ratio(rate, "onedoor", "floor"), ratio(cpu, "onedoor", "floor"), ratio(p50, "onedoor", "floor"), ratio(p99, "onedoor", "floor"))
	fmt.Printf("onedoor / direct:  calls/s %.2f   p50 %.2f\n", ratio(rate, "onedoor", "direct"), ratio(p50, "onedoor", "direct"))
	fmt.Printf("floor / direct:    calls/s %.2f   p50 %.2f\n", ratio(rate, "floor", "direct"), ratio(p50, "floor", "direct"))
	return nil
}

func directTarget(origin, ca string) (target, error) {
	client, err := httpsClient(ca)
	if err != nil {
		return target{}, err
	}
	return target{name: "direct", call: func(ctx context.Context, _ int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/record/42", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}}, nil
}

// grpcTarget gives every caller a connection of its own.
func (w *world) grpcTarget(ctx context.Context, name string, pid int, address, server, key, connector string, callers int) (target, error) {
	stubs := make([]onedoorv1.BrokerClient, callers)
	for i := range stubs {
		c, err := w.dial(ctx, address, server, key)
		if err != nil {
			return target{}, err
		}
		stubs[i] = c.Broker()
	}
	return target{name: name, pid: pid, call: func(ctx context.Context, i int) error {
		res, err := stubs[i].Invoke(ctx, &onedoorv1.InvokeRequest{
			Connector: connector, Tool: "record.get", ArgumentsJson: []byte(`{"id":"42"}`), IdempotencyKey: uuid.Must(uuid.NewV7()).String(),
		})
		if err == nil && (res.GetStatus() != http.StatusOK || len(res.GetBody()) < 1000) {
			err = errors.New("not the answer that was expected")
		}
		return err
	}}, nil
}
