package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

// timeout is how long a command waits for etcd, which may have been started a moment before.
const timeout = 20 * time.Second

// statusTimeout is how long a member may take to report its own status.
const statusTimeout = 3 * time.Second

// The exit statuses of etcdctl for API 2.
const (
	exitFailure  = 1
	exitNotFound = 4
)

// verbs are the commands of API 2, with the number of their arguments: the smallest and the largest.
var verbs = map[string][2]int{
	"get": {1, 1}, "ls": {0, 1}, "mk": {2, 2}, "rm": {1, 1}, "set": {2, 2}, "update": {2, 2},
}

// oldCommand is a command of API 2, which is run with API 3.
type oldCommand struct {
	verb      string
	args      []string
	endpoints string
	tls       transport.TLSInfo
	recursive bool
	slash     bool
}

// etcdError is an error of API 2.
type etcdError struct {
	code    int
	message string
	key     string
	index   int64
}

func (e etcdError) Error() string {
	return fmt.Sprintf("%d: %s (%s) [%d]", e.code, e.message, e.key, e.index)
}

// parseOld recognizes a command of API 2. API 3 has a `get`, too: it is the old one with a single key that
// begins with a slash and without flags, unless ETCDCTL_API is 3.
func parseOld(args []string) (*oldCommand, bool) {
	command := &oldCommand{}
	flags := command.globalFlags()
	if flags.Parse(args) != nil || flags.NArg() == 0 {
		return nil, false
	}
	rest := flags.Args()
	if _, known := verbs[rest[0]]; !known {
		return nil, false
	}
	command.verb = rest[0]
	command.args = rest[1:]
	if command.verb == "get" {
		isOld := len(command.args) == 1 && strings.HasPrefix(command.args[0], "/")
		return command, isOld && os.Getenv("ETCDCTL_API") != "3"
	}
	return command, true
}

// globalFlags are the flags before a verb.
func (c *oldCommand) globalFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("etcdctl", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	text := func(target *string, value string, names ...string) {
		for _, name := range names {
			flags.StringVar(target, name, value, "")
		}
	}
	text(&c.endpoints, os.Getenv("ETCDCTL_ENDPOINTS"), "endpoints", "endpoint", "peers", "C")
	text(&c.tls.TrustedCAFile, os.Getenv("ETCDCTL_CACERT"), "cacert", "ca-file")
	text(&c.tls.CertFile, os.Getenv("ETCDCTL_CERT"), "cert", "cert-file")
	text(&c.tls.KeyFile, os.Getenv("ETCDCTL_KEY"), "key", "key-file")
	return flags
}

// run runs the command and returns the exit status.
func (c *oldCommand) run() int {
	flags := flag.NewFlagSet(c.verb, flag.ContinueOnError)
	if c.verb == "ls" {
		flags.BoolVar(&c.recursive, "recursive", false, "list the keys below, too")
		flags.BoolVar(&c.slash, "p", false, "append a slash to folders")
	}
	if flags.Parse(c.args) != nil {
		return exitFailure
	}
	args := flags.Args()
	if count := verbs[c.verb]; len(args) < count[0] || len(args) > count[1] {
		fmt.Fprintf(os.Stderr, "Error:  `etcdctl %s` takes %s\n", c.verb, usage[c.verb])
		return exitFailure
	}
	// The cause is part of the error.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	err := c.perform(args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "Error: ", err)
	if errors.As(err, &etcdError{}) {
		return exitNotFound
	}
	return exitFailure
}

var usage = map[string]string{
	"get": "KEY", "ls": "[--recursive] [-p] [KEY]", "mk": "KEY VALUE", "rm": "KEY", "set": "KEY VALUE",
	"update": "KEY VALUE",
}

func (c *oldCommand) perform(args []string) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	key := "/"
	if len(args) > 0 {
		key = path.Join("/", args[0])
	}
	switch c.verb {
	case "get":
		err = get(ctx, client, key)
	case "ls":
		err = c.list(ctx, client, key)
	case "rm":
		err = remove(ctx, client, key)
	default:
		err = write(ctx, client, c.verb, key, args[1])
	}
	return c.explain(ctx, client, err)
}

// explain completes an error of a request that etcd did not answer.
func (c *oldCommand) explain(ctx context.Context, client *clientv3.Client, err error) error {
	if err == nil || errors.As(err, &etcdError{}) {
		return err
	}
	for _, endpoint := range client.Endpoints() {
		if hasNoLeader(client, endpoint) {
			return fmt.Errorf("etcd at %s has no leader, because it does not reach more than half of its members; hint: start the others", endpoint)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("timed out after %s waiting for etcd at %s; hint: `sudo rancherctl addon enable etcd` or set ETCDCTL_ENDPOINTS", timeout, c.endpoints)
	}
	return err
}

// hasNoLeader reports whether a member answers that it cannot decide anything.
func hasNoLeader(client *clientv3.Client, endpoint string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	status, err := client.Status(ctx, endpoint)
	return err == nil && status.Leader == 0
}

func (c *oldCommand) connect() (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: strings.Split(c.endpoints, ","), Logger: zap.NewNop()}
	if !c.tls.Empty() || c.tls.TrustedCAFile != "" {
		tls, err := c.tls.ClientConfig()
		if err != nil {
			return nil, err
		}
		config.TLS = tls
	}
	return clientv3.New(config)
}

func notFound(key string, index int64) error {
	return etcdError{100, "Key not found", key, index}
}

func get(ctx context.Context, client *clientv3.Client, key string) error {
	found, err := client.Get(ctx, key)
	if err != nil {
		return err
	}
	if len(found.Kvs) == 0 {
		return notFound(key, found.Header.Revision)
	}
	fmt.Println(string(found.Kvs[0].Value))
	return nil
}

// write sets a key; `mk` only if it does not exist, `update` only if it does.
func write(ctx context.Context, client *clientv3.Client, verb, key, value string) error {
	request := client.Txn(ctx)
	switch verb {
	case "mk":
		request = request.If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
	case "update":
		request = request.If(clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
	}
	answer, err := request.Then(clientv3.OpPut(key, value)).Commit()
	if err != nil {
		return err
	}
	if answer.Succeeded {
		fmt.Println(value)
		return nil
	}
	if verb == "mk" {
		return etcdError{105, "Key already exists", key, answer.Header.Revision}
	}
	return notFound(key, answer.Header.Revision)
}

func remove(ctx context.Context, client *clientv3.Client, key string) error {
	removed, err := client.Delete(ctx, key, clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	if removed.Deleted == 0 {
		return notFound(key, removed.Header.Revision)
	}
	fmt.Printf("PrevNode.Value: %s\n", removed.PrevKvs[0].Value)
	return nil
}

// list prints the children of a key. A key is a folder if others begin with it and a slash.
func (c *oldCommand) list(ctx context.Context, client *clientv3.Client, key string) error {
	folder := strings.TrimSuffix(key, "/") + "/"
	found, err := client.Get(ctx, folder, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(found.Kvs))
	for _, one := range found.Kvs {
		keys = append(keys, string(one.Key))
	}
	if len(keys) == 0 && key != "/" {
		return notFound(key, found.Header.Revision)
	}
	for _, line := range children(folder, keys, c.recursive, c.slash) {
		fmt.Println(line)
	}
	return nil
}

// children are the entries of a folder, sorted; those of its folders as well if recursive.
func children(folder string, keys []string, recursive, slash bool) []string {
	entries := map[string]bool{}
	for _, key := range keys {
		parts := strings.Split(strings.TrimPrefix(key, folder), "/")
		last := len(parts) - 1
		for depth := range parts {
			if depth > 0 && !recursive {
				break
			}
			entry := folder + strings.Join(parts[:depth+1], "/")
			entries[entry] = entries[entry] || depth < last
		}
	}
	lines := make([]string, 0, len(entries))
	for entry, isFolder := range entries {
		if isFolder && slash {
			entry += "/"
		}
		lines = append(lines, entry)
	}
	sort.Strings(lines)
	return lines
}
