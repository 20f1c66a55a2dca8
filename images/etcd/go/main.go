// etcd and etcdctl as one program, which selects one of them by its name. As in the upstream programs,
// each flag has an environment variable: ETCD_* and ETCDCTL_*.
package main

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.etcd.io/etcd/server/v3/wal"
)

// segmentBytes is the size of a segment of the write-ahead log. etcd allocates two of them when it starts.
// With its default of 64 MB, 125 MB of memory are in use on a machine without a state disk, with this one 8 MB.
const segmentBytes = 4 << 20

// dataDir is where the data is, unless ETCD_DATA_DIR or a flag names another folder.
const dataDir = "/var/lib/rancher/etcd"

func main() {
	if filepath.Base(os.Args[0]) == "etcdctl" {
		etcdctl(os.Args[1:])
		return
	}
	wal.SegmentSizeBytes = segmentBytes
	setDefault("ETCD_DATA_DIR", dataDir)
	advertiseClientURLs()
	etcdmain.Main(os.Args)
}

// etcdctl runs a command: an old verb, or one of etcd's own client.
func etcdctl(args []string) {
	command, isOld := parseOld(args)
	// It would select the commands of API 2, which the server does not have.
	os.Unsetenv("ETCDCTL_API")
	if isOld {
		os.Exit(command.run())
	}
	ctlv3.MustStart()
}

func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		os.Setenv(name, value)
	}
}

// advertiseClientURLs sets the addresses that clients learn to those that etcd listens on, if clients can use
// all of these. Without a value etcd does not start.
func advertiseClientURLs() {
	urls := os.Getenv("ETCD_LISTEN_CLIENT_URLS")
	if urls == "" {
		return
	}
	for _, one := range strings.Split(urls, ",") {
		parsed, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return
		}
		ip := net.ParseIP(parsed.Hostname())
		if ip == nil || ip.IsUnspecified() {
			return
		}
	}
	setDefault("ETCD_ADVERTISE_CLIENT_URLS", urls)
}
