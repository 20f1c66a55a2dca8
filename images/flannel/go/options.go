package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/flannel-io/flannel/pkg/backend"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/etcd"
	log "k8s.io/klog/v2"
)

// options are the flags; their names are those of flannel.
type options struct {
	endpoints, prefix          string
	keyFile, certFile, caFile  string
	username, password         string
	iface, ifaceRegex, reach   string
	publicIP                   string
	subnetFile                 string
	savedSubnetFile, waitsFile string
	renewMargin, resyncSeconds int
	ipMasq, forwardRules       bool
}

// parseOptions reads the command line and the environment.
func parseOptions() (options, error) {
	o := options{}
	flags := flag.NewFlagSet("flanneld", flag.ExitOnError)
	flags.StringVar(&o.endpoints, "etcd-endpoints", "http://127.0.0.1:2379", "addresses of etcd, comma-separated")
	flags.StringVar(&o.prefix, "etcd-prefix", "/coreos.com/network", "the key of the network in etcd")
	flags.StringVar(&o.keyFile, "etcd-keyfile", "", "the key of the client certificate for etcd")
	flags.StringVar(&o.certFile, "etcd-certfile", "", "the client certificate for etcd")
	flags.StringVar(&o.caFile, "etcd-cafile", "", "the certificate of the CA that signs those of etcd")
	flags.StringVar(&o.username, "etcd-username", "", "the user in etcd")
	flags.StringVar(&o.password, "etcd-password", "", "the password of the user in etcd")
	flags.StringVar(&o.iface, "iface", "", "the interface to other machines, by name or address")
	flags.StringVar(&o.ifaceRegex, "iface-regex", "", "the interface to other machines, as a regular expression")
	flags.StringVar(&o.reach, "iface-can-reach", "", "an address that the interface to other machines can reach [default: that of etcd, unless it is a loopback address]")
	flags.StringVar(&o.publicIP, "public-ip", "", "the address at which other machines reach this one")
	flags.StringVar(&o.subnetFile, "subnet-file", "/run/flannel/subnet.env", "the file that gets the leased subnet")
	flags.StringVar(&o.savedSubnetFile, "saved-subnet-file", "/var/lib/rancher/conf/flannel/subnet.env", "a copy of that file which persists; its subnet is leased again")
	flags.StringVar(&o.waitsFile, "waits-file", "/run/flannel/waits", "the file that gets what flanneld waits for")
	flags.IntVar(&o.renewMargin, "subnet-lease-renew-margin", 60, "minutes before the end of the lease at which it is renewed")
	flags.IntVar(&o.resyncSeconds, "iptables-resync", 5, "seconds between two checks of the packet filter rules")
	flags.BoolVar(&o.ipMasq, "ip-masq", true, "translate addresses of packets that leave the network")
	flags.BoolVar(&o.forwardRules, "iptables-forward-rules", true, "add rules that let packets of the network pass")
	for _, name := range []string{"v", "vmodule"} {
		logging := flag.NewFlagSet("", flag.ContinueOnError)
		log.InitFlags(logging)
		flags.Var(logging.Lookup(name).Value, name, logging.Lookup(name).Usage)
	}
	if err := flags.Parse(os.Args[1:]); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument `%s`", flags.Arg(0))
	}
	return o, fromEnvironment(flags, "FLANNELD_")
}

// fromEnvironment sets the flags that are not on the command line.
func fromEnvironment(flags *flag.FlagSet, prefix string) error {
	given := map[string]bool{}
	flags.Visit(func(one *flag.Flag) { given[one.Name] = true })
	var failed error
	flags.VisitAll(func(one *flag.Flag) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(one.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || given[one.Name] {
			return
		}
		if err := flags.Set(one.Name, value); err != nil {
			failed = fmt.Errorf("%s=%s: %w", name, value, err)
		}
	})
	return failed
}

func (o *options) etcd() *etcd.EtcdConfig {
	return &etcd.EtcdConfig{
		Endpoints: strings.Split(o.endpoints, ","),
		Keyfile:   o.keyFile,
		Certfile:  o.certFile,
		CAFile:    o.caFile,
		Prefix:    o.prefix,
		Username:  o.username,
		Password:  o.password,
	}
}

// dial connects to one of the endpoints and disconnects.
func (o *options) dial() error {
	for _, endpoint := range strings.Split(o.endpoints, ",") {
		parsed, err := url.Parse(strings.TrimSpace(endpoint))
		if err != nil {
			return fmt.Errorf("-etcd-endpoints: %w", err)
		}
		connection, err := net.DialTimeout("tcp", parsed.Host, requestTimeout)
		if err == nil {
			return connection.Close()
		}
		log.V(1).Info(err)
	}
	return o.explain(context.DeadlineExceeded)
}

// explain completes an error of a request to etcd.
func (o *options) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("etcd does not answer at %s", o.endpoints)
	case strings.Contains(err.Error(), "config not found"):
		return fmt.Errorf("etcd has no key %s/config; hint: create it with `etcdctl mk`", o.prefix)
	}
	return fmt.Errorf("etcd at %s: %w", o.endpoints, err)
}

// externalInterface finds the interface to other machines. The default is the one to etcd: the interface of
// the default route has the same address on many machines, such as those behind QEMU's user network, and two
// machines with the same address have the same lease.
func (o *options) externalInterface(config *subnet.Config) (*backend.ExternalInterface, error) {
	stack, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	iface, reach := o.iface, o.reach
	if iface == "" && reach == "" && o.ifaceRegex == "" {
		if iface, reach, err = o.etcdAddress(); err != nil {
			return nil, err
		}
	}
	public := ipmatch.PublicIPOpts{PublicIP: o.publicIP}
	return ipmatch.LookupExtIface(iface, o.ifaceRegex, reach, stack, public)
}

// etcdAddress is an address of an endpoint on this machine, or else one on another machine. Both are empty if
// etcd is at a loopback address.
func (o *options) etcdAddress() (own, other string, err error) {
	for _, endpoint := range strings.Split(o.endpoints, ",") {
		parsed, err := url.Parse(strings.TrimSpace(endpoint))
		if err != nil {
			return "", "", fmt.Errorf("-etcd-endpoints: %w", err)
		}
		addresses, err := net.LookupIP(parsed.Hostname())
		if err != nil {
			return "", "", err
		}
		for _, address := range addresses {
			switch {
			case address.To4() == nil || address.IsLoopback():
			case isOwn(address):
				return address.String(), "", nil
			case other == "":
				other = address.String()
			}
		}
	}
	return "", other, nil
}

// isOwn reports whether an address is one of this machine.
func isOwn(address net.IP) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, one := range own {
		if network, ok := one.(*net.IPNet); ok && network.IP.Equal(address) {
			return true
		}
	}
	return false
}

// report logs what flanneld waits for, and writes it to a file for others; an empty text removes the file.
func (d *daemon) report(waits string) {
	if waits == d.reported {
		return
	}
	d.reported = waits
	if waits == "" {
		os.Remove(d.waitsFile)
		return
	}
	log.Warning(waits)
	os.MkdirAll(filepath.Dir(d.waitsFile), 0o755)
	if err := os.WriteFile(d.waitsFile, []byte(waits+"\n"), 0o644); err != nil {
		log.Warning(err)
	}
}
