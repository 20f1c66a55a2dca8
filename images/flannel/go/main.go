// flanneld: leases a subnet of the network that etcd describes, and connects it with the subnets of the
// other machines. It has the backends alloc, host-gw and vxlan of flannel.
//
// A flag that is not on the command line is set by its environment variable: FLANNELD_ETCD_ENDPOINTS sets
// -etcd-endpoints.
package main

import (
	"context"
	"errors"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/alloc"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/etcd"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	log "k8s.io/klog/v2"
)

// requestTimeout is the timeout of a request to etcd. The client itself waits without limit.
const requestTimeout = 5 * time.Second

// retryInterval is the time between two attempts to get what is missing.
const retryInterval = time.Second

// settleTime is the time for the backend to end after a signal.
const settleTime = 2 * time.Second

// daemon is flanneld with its options and its connection to etcd.
type daemon struct {
	options
	manager  subnet.Manager
	last     subnetFile
	reported string
}

func main() {
	options, err := parseOptions()
	if err != nil {
		log.Exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d := &daemon{options: options, last: readSubnetFile(options.savedSubnetFile)}
	if err := d.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		d.report(err.Error())
		log.Exit(err)
	}
}

// run joins the network and returns when the context ends or the lease is lost.
func (d *daemon) run(ctx context.Context) error {
	config, err := d.networkConfig(ctx)
	if err != nil {
		return err
	}
	network, err := d.register(ctx, config)
	if err != nil {
		return err
	}
	if err := d.filterRules(ctx, config, network); err != nil {
		return err
	}
	lease := network.Lease()
	for _, file := range []string{d.savedSubnetFile, d.subnetFile} {
		if err := d.manager.HandleSubnetFile(file, config, d.ipMasq, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
			return err
		}
	}
	d.report("")
	log.Infof("leased %s of %s, backend %s", lease.Subnet, config.Network, config.BackendType)
	return d.serve(ctx, network)
}

// serve keeps routes up to date and renews the lease.
func (d *daemon) serve(ctx context.Context, network backend.Network) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tasks sync.WaitGroup
	tasks.Add(1)
	go func() {
		defer tasks.Done()
		network.Run(ctx)
	}()
	err := d.manager.CompleteLease(ctx, network.Lease(), &tasks)
	cancel()
	ended := make(chan struct{})
	go func() { tasks.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(settleTime):
	}
	return err
}

// networkConfig waits for etcd and for the configuration of the network.
func (d *daemon) networkConfig(ctx context.Context) (*subnet.Config, error) {
	// The client would wait longer and longer between its attempts to connect, up to two minutes.
	if err := d.retry(ctx, d.dial); err != nil {
		return nil, err
	}
	manager, err := etcd.NewLocalManager(ctx, d.etcd(), d.last.cidr("FLANNEL_SUBNET"), noIPv6(), d.renewMargin)
	if err != nil {
		return nil, err
	}
	d.manager = manager
	var config *subnet.Config
	err = d.retry(ctx, func() (err error) {
		request, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		config, err = manager.GetNetworkConfig(request)
		return d.explain(err)
	})
	return config, err
}

// register leases a subnet and creates the interface of the backend.
func (d *daemon) register(ctx context.Context, config *subnet.Config) (network backend.Network, err error) {
	err = d.retry(ctx, func() error {
		external, err := d.externalInterface(config)
		if err != nil {
			return err
		}
		created, err := backend.NewManager(ctx, d.manager, external).GetBackend(config.BackendType)
		if err != nil {
			return err
		}
		network, err = created.RegisterNetwork(ctx, &sync.WaitGroup{}, config)
		return err
	})
	return network, err
}

// filterRules adds the packet filter rules, and adds them again when somebody removes them.
func (d *daemon) filterRules(ctx context.Context, config *subnet.Config, network backend.Network) error {
	rules := &iptables.IPTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	if d.ipMasq {
		err := rules.SetupAndEnsureMasqRules(ctx,
			config.Network, d.last.cidr("FLANNEL_SUBNET"), d.last.cidr("FLANNEL_NETWORK"),
			config.IPv6Network, noIPv6(), noIPv6(), network.Lease(), d.resyncSeconds, false)
		if err != nil {
			return err
		}
	}
	if d.forwardRules {
		rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, d.resyncSeconds)
	}
	return nil
}

// retry repeats an attempt until it succeeds, and reports each new reason of a failure.
func (d *daemon) retry(ctx context.Context, attempt func() error) error {
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.report(err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}
