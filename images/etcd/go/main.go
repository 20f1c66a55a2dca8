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
	advertise("ETCD_LISTEN_CLIENT_URLS", "ETCD_ADVERTISE_CLIENT_URLS")
	advertise("ETCD_LISTEN_PEER_URLS", "ETCD_INITIAL_ADVERTISE_PEER_URLS")
	etcdmain.Main(os.Args)
}

// certificates is the folder with the certificates of the machine, where the container has it.
const certificates = "/var/lib/rancher/conf/etcd"

// localEndpoint is etcd on this machine.
const localEndpoint = "http://127.0.0.1:2379"

// etcdctl runs a command: an old verb, or one of etcd's own client.
func etcdctl(args []string) {
	useCertificates(args)
	command, isOld := parseOld(args)
	// It would select the commands of API 2, which the server does not have.
	os.Unsetenv("ETCDCTL_API")
	if isOld {
		os.Exit(command.run())
	}
	ctlv3.MustStart()
}

// useCertificates makes the certificates of the machine the default for a client. They apply to endpoints with
// https; that of etcd on this machine, which is the default, has http.
func useCertificates(args []string) {
	setDefaultFlag(args, "endpoints", localEndpoint)
	for flag, name := range map[string]string{"cacert": "ca.pem", "cert": "cert.pem", "key": "key.pem"} {
		file := filepath.Join(certificates, name)
		if _, err := os.Stat(file); err == nil {
			setDefaultFlag(args, flag, file)
		}
	}
}

// setDefaultFlag sets the environment variable of a flag, unless the flag is given: etcdctl refuses both.
func setDefaultFlag(args []string, flag, value string) {
	for _, arg := range args {
		if arg == "--"+flag || strings.HasPrefix(arg, "--"+flag+"=") {
			return
		}
	}
	setDefault("ETCDCTL_"+strings.ToUpper(flag), value)
}

func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		os.Setenv(name, value)
	}
}

// advertise sets the addresses that others learn to those that etcd listens on, if others can use them. Without
// a value for clients, etcd does not start.
func advertise(listen, advertised string) {
	if urls := reachable(os.Getenv(listen)); urls != "" {
		setDefault(advertised, urls)
	}
}

// reachable is the part of a list of addresses that other machines reach: without those of the loopback
// interface, unless there are no others. It is empty if one of them is a name or stands for all addresses.
func reachable(urls string) string {
	var others []string
	for _, one := range strings.Split(urls, ",") {
		one = strings.TrimSpace(one)
		parsed, err := url.Parse(one)
		if err != nil {
			return ""
		}
		ip := net.ParseIP(parsed.Hostname())
		if ip == nil || ip.IsUnspecified() {
			return ""
		}
		if !ip.IsLoopback() {
			others = append(others, one)
		}
	}
	if len(others) == 0 {
		return urls
	}
	return strings.Join(others, ",")
}
