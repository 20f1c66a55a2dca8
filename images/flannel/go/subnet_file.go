package main

import (
	"math/big"
	"net"
	"os"
	"strings"

	"github.com/flannel-io/flannel/pkg/ip"
)

// subnetFile is the content of a subnet file: values by name.
type subnetFile map[string]string

// readSubnetFile reads a subnet file; the result is empty if there is none.
func readSubnetFile(path string) subnetFile {
	values := subnetFile{}
	text, err := os.ReadFile(path)
	if err != nil {
		return values
	}
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, "="); found {
			values[name] = value
		}
	}
	return values
}

// cidr is a network in the file; the empty one if there is none.
func (f subnetFile) cidr(name string) ip.IP4Net {
	_, network, err := net.ParseCIDR(f[name])
	if err != nil {
		return ip.IP4Net{}
	}
	return ip.FromIPNet(network)
}

// noIPv6 is the empty IPv6 network.
func noIPv6() ip.IP6Net {
	return ip.IP6Net{IP: (*ip.IP6)(big.NewInt(0))}
}
