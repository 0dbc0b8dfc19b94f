package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cluster is what scripts/cluster/run has started. This program runs on its host "bank".
type cluster struct {
	name, dir string
	script    string // scripts/cluster/run
}

// run runs a program and shows what it says when it fails.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // the programs are named here
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// pids are the processes of a host.
func (c cluster) pids(ctx context.Context, host string) ([]int, error) {
	out, err := run(ctx, "ip", "netns", "pids", c.name+"-"+host)
	var all []int
	for field := range strings.FieldsSeq(out) {
		if pid, err := strconv.Atoi(field); err == nil {
			all = append(all, pid)
		}
	}
	return all, err
}

// pid is the process of a service.
func (c cluster) pid(host, service string) (int, error) {
	return firstNumber(filepath.Join(c.dir, host, service+".pid"))
}

// postmaster is PostgreSQL's first process on a host.
func (c cluster) postmaster(host string) (int, error) {
	return firstNumber(filepath.Join(c.disk(host), "data", "postmaster.pid"))
}

func (c cluster) disk(host string) string { return filepath.Join(c.dir, host, "disk") }

func firstNumber(path string) (int, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of the cluster
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

// roles are which host is what, in the words of Patroni.
func (c cluster) roles(ctx context.Context) (map[string]string, error) {
	is := map[string]string{}
	for _, host := range databases {
		role, err := run(ctx, "curl", "-s", "-m", "2", "-o", os.DevNull, "-w", "%{http_code}", "http://"+address[host]+":8008/primary")
		if err == nil && role == "200" {
			is[primary] = host
		}
	}
	if is[primary] == "" {
		return nil, errors.New("there is no primary")
	}
	for _, host := range databases {
		switch {
		case host == is[primary]:
		case is[follower] == "":
			is[follower] = host
		default:
			is[other] = host
		}
	}
	return is, nil
}

// address is that of a host, as scripts/cluster/run gives them out.
var address = map[string]string{"edge": "10.83.0.5", "db1": "10.83.0.11", "db2": "10.83.0.12", "db3": "10.83.0.13",
	"app1": "10.83.0.21", "app2": "10.83.0.22", "bank": "10.83.0.31", "keys": "10.83.0.41"}

// whole waits until every part is there: a primary, two whose acknowledgement counts, two servers that are ready.
func (c cluster) whole(ctx context.Context) error {
	var missing []string
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		missing = nil
		ask := func(what, url string, more ...string) {
			code, err := run(ctx, "curl", append([]string{"-s", "-m", "2", "-o", os.DevNull, "-w", "%{http_code}", url}, more...)...)
			if err != nil || code != "200" {
				missing = append(missing, what)
			}
		}
		is, err := c.roles(ctx)
		if err != nil {
			missing = append(missing, primary)
		}
		if err == nil {
			for _, role := range []string{follower, other} {
				if !c.counts(ctx, is[primary], is[role]) {
					missing = append(missing, is[role])
				}
			}
		}
		for _, host := range databases {
			ask("etcd on "+host, "http://"+address[host]+":2379/health")
		}
		for _, host := range servers {
			ask(host, "https://"+address[host]+":8443/readyz", "--cacert", filepath.Join(c.dir, "tls", "chain.pem"))
		}
		if missing == nil {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("after five minutes the cluster is not whole: %s missing", strings.Join(missing, ", "))
}

// counts tells whether a follower's acknowledgement counts, and it can become primary: it is fed, and etcd has it among those that may. Patroni's own
// answers are as old as its last look at etcd: after a primary came back it has none that may for some seconds.
func (c cluster) counts(ctx context.Context, leader, follows string) bool {
	var fed struct {
		Replication []struct {
			Name  string `json:"application_name"`
			State string
		}
	}
	said, err := run(ctx, "curl", "-s", "-m", "2", "http://"+address[leader]+":8008/patroni")
	if err != nil || json.Unmarshal([]byte(said), &fed) != nil {
		return false
	}
	var found struct{ KVs []struct{ Value []byte } }
	said, err = run(ctx, "curl", "-s", "-m", "2", "http://"+address[leader]+":2379/v3/kv/range", "-d", string(marshal(map[string][]byte{"key": []byte("/service/pinvault/sync")})))
	if err != nil || json.Unmarshal([]byte(said), &found) != nil || len(found.KVs) == 0 {
		return false
	}
	var may struct {
		Leader  string
		Standby string `json:"sync_standby"`
	}
	if json.Unmarshal(found.KVs[0].Value, &may) != nil {
		return false
	}
	streams := false
	for _, r := range fed.Replication {
		streams = streams || r.Name == follows && r.State == "streaming"
	}
	return streams && may.Leader == leader && slices.Contains(strings.Split(may.Standby, ","), follows)
}

// suffer makes a fault when it is due, and mends it.
func (c cluster) suffer(ctx context.Context, f fault, is map[string]string, r *receiver, began time.Time) happened {
	h := happened{fault: f}
	h.At = nil
	for _, place := range f.At {
		if host := is[place]; host != "" {
			place = host
		}
		h.At = append(h.At, place)
	}
	pause(ctx, f.After)
	h.Began = time.Since(began)
	mend, err := c.make(context.WithoutCancel(ctx), h.fault, r)
	if err == nil {
		pause(ctx, f.For)
		err = mend()
	}
	h.Mended = time.Since(began)
	if err != nil {
		h.Error = err.Error()
	}
	return h
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func nothing() error { return nil }

// make makes a fault at the hosts that it names, and gives back what mends it.
func (c cluster) make(ctx context.Context, f fault, r *receiver) (mend func() error, err error) {
	host := f.At[0]
	switch f.Kind {
	case "kill server":
		return nothing, c.kill(host, "pinvault")
	case "kill pooler":
		return nothing, c.kill(host, "pgbouncer")
	case "kill proxy":
		return nothing, c.kill(host, "haproxy")
	case "kill etcd":
		return nothing, c.kill(host, "etcd")
	case "kill Patroni":
		return nothing, c.kill(host, "patroni")
	case "kill PostgreSQL, primary", "kill PostgreSQL, follower":
		return nothing, killed(func() (int, error) { return c.postmaster(host) })
	case "kill the primary's host", "kill a follower's host":
		return c.killHost(ctx, host)
	case "cut between two":
		return c.cut(ctx, f.Number, host, f.At[1])
	case "cut the primary from all":
		return c.cut(ctx, f.Number, host, hosts...)
	case "cut the primary from the followers":
		return c.cut(ctx, f.Number, host, f.At[1:]...)
	case "slow network":
		return c.slowNetwork(ctx, host)
	case "slow disk":
		return c.slowDisk(ctx, host)
	case "full disk, primary", "full disk, follower":
		return c.fillDisk(host)
	case "slow database":
		return c.grouped(ctx, host, "cpu", map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "4000"})
	case "pool exhausted":
		return c.exhaust(ctx, host)
	case "clock":
		pid, err := c.pid(host, "pinvault")
		if err != nil {
			return nil, err
		}
		return skew(pid, f.Skew)
	case "receiver gone":
		r.stop()
		return r.start, nil
	case "keys gone":
		pid, err := c.pid(host, "openbao")
		if err != nil {
			return nil, err
		}
		return func() error { return syscall.Kill(pid, syscall.SIGCONT) }, syscall.Kill(pid, syscall.SIGSTOP)
	}
	return nil, fmt.Errorf("no fault is called %q", f.Kind)
}

func (c cluster) kill(host, service string) error {
	return killed(func() (int, error) { return c.pid(host, service) })
}

// killed kills a process as soon as it runs: another fault may have ended it, such as a disk that is full.
func killed(which func() (int, error)) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		pid, err := which()
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// killHost kills all that runs on a host at once, as if its power were gone. What PostgreSQL and etcd had written is
// with the kernel, which does not fall; what survives a fall of power is asked of fsync, and not here.
func (c cluster) killHost(ctx context.Context, host string) (func() error, error) {
	pids, err := c.pids(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} { // nobody starts another one meanwhile
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal) // it may have ended with another one
		}
	}
	return func() error {
		_, err := run(ctx, c.script, "start", host)
		return err
	}, nil
}

// onSwitch runs a program on the switch between the hosts.
func (c cluster) onSwitch(ctx context.Context, args ...string) error {
	_, err := run(ctx, "nsenter", append([]string{"--net=/run/netns/" + c.name + "-switch", "--"}, args...)...)
	return err
}

// cut lets nothing pass between a host and others, without a word to either.
func (c cluster) cut(ctx context.Context, number int, host string, from ...string) (func() error, error) {
	table := fmt.Sprintf("cut%d", number)
	var rules strings.Builder
	rules.WriteString("table bridge " + table + " { chain forward { type filter hook forward priority 0; policy accept;\n")
	for _, peer := range from {
		if peer != host {
			fmt.Fprintf(&rules, "iifname %q oifname %q drop\niifname %q oifname %q drop\n", host, peer, peer, host)
		}
	}
	return func() error { return c.onSwitch(ctx, "nft", "delete", "table", "bridge", table) },
		c.onSwitch(ctx, "nft", rules.String()+"}\n}\n")
}

// slowNetwork lets 400 kbit a second pass to a host.
func (c cluster) slowNetwork(ctx context.Context, host string) (func() error, error) {
	return func() error { return c.onSwitch(ctx, "tc", "qdisc", "del", "dev", host, "root") },
		c.onSwitch(ctx, "tc", "qdisc", "add", "dev", host, "root", "tbf", "rate", "400kbit", "burst", "16kbit", "latency", "1s")
}

// grouped puts all processes of a host into a control group (version 1) of a controller, with limits.
func (c cluster) grouped(ctx context.Context, host, controller string, limits map[string]string) (func() error, error) {
	pids, err := c.pids(ctx, host)
	if err != nil {
		return nil, err
	}
	return c.limited(host, controller, limits, pids)
}

func (c cluster) limited(host, controller string, limits map[string]string, pids []int) (_ func() error, err error) {
	root := "/sys/fs/cgroup/" + controller
	group := filepath.Join(root, c.name+"-"+host)
	if err := os.Mkdir(group, 0o755); err != nil && !os.IsExist(err) { //nolint:gosec // as all of them are
		return nil, err
	}
	set := func(path, value string) error { return os.WriteFile(path, []byte(value), 0) } //nolint:gosec // of the control group's own files
	for name, value := range limits {
		err = errors.Join(err, set(filepath.Join(group, name), value))
	}
	for _, pid := range pids {
		_ = set(filepath.Join(group, "cgroup.procs"), strconv.Itoa(pid)) // it may have ended
	}
	return func() error {
		for range 100 {
			inside, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
			if err != nil {
				return err
			}
			for pid := range strings.FieldsSeq(string(inside)) {
				_ = set(filepath.Join(root, "cgroup.procs"), pid)
			}
			if os.Remove(group) == nil {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
		return fmt.Errorf("%s is still in use", group)
	}, err
}

// slowDisk lets a host write 128 KiB a second to its disk, in 20 steps.
func (c cluster) slowDisk(ctx context.Context, host string) (func() error, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(c.disk(host), &stat); err != nil {
		return nil, err
	}
	device := fmt.Sprintf("%d:%d ", stat.Dev>>8&0xfff, stat.Dev&0xff)
	return c.grouped(ctx, host, "blkio", map[string]string{
		"blkio.throttle.write_bps_device": device + "131072", "blkio.throttle.write_iops_device": device + "20"})
}

// fillDisk leaves no room on a host's disk.
func (c cluster) fillDisk(host string) (func() error, error) {
	filler := filepath.Join(c.disk(host), "filler")
	f, err := os.Create(filler) //nolint:gosec // of the cluster
	if err != nil {
		return nil, err
	}
	for step := int64(64 << 20); step >= 4<<10; {
		at, _ := f.Seek(0, 2)
		if syscall.Fallocate(int(f.Fd()), 0, at, step) != nil { //nolint:gosec // a descriptor
			step /= 2
		}
	}
	return func() error { return os.Remove(filler) }, f.Close()
}

// exhaust takes all connections that a pooler has, for transactions that do nothing.
func (c cluster) exhaust(ctx context.Context, host string) (func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	holder := exec.CommandContext(ctx, "nsenter", "--net=/run/netns/"+c.name+"-"+host, "--", self, "--dir", c.dir, "--hold", "12") //nolint:gosec // this program
	held, err := holder.StdinPipe()
	if err != nil {
		return nil, err
	}
	return func() error {
		err := held.Close()
		_ = holder.Wait() // with whatever became of its connections
		return err
	}, holder.Start()
}
