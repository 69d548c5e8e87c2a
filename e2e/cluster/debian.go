package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// release is Debian's, and mirror where it is had; another is given in PALISADE_DEBIAN_MIRROR.
const (
	release = "bookworm"
	mirror  = "http://deb.debian.org/debian"
)

// hostPackages are unpacked, not installed: nothing of the host changes, and no service of theirs starts.
var hostPackages = []string{
	"docker.io", "containerd", "runc", "debootstrap", "iptables", "jq",
	// What they load, and a minimal Debian lacks.
	"libdevmapper1.02.1", "libip4tc2", "libip6tc2", "libjq1", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11", "libonig5",
	"libseccomp2", "libxtables12",
}

// nodePackages are what the node, kube-proxy and the enforcer of policies run on.
const nodePackages = "ca-certificates,conntrack,curl,ethtool,hostname,iproute2,iptables,jq,kmod,libseccomp2,mount,nftables,openssl,procps,socat,util-linux"

func (h *harness) unpackDebian(ctx context.Context) error {
	return whole(h.debian, func(folder string) error {
		packages := filepath.Join(folder, "packages")
		if err := os.MkdirAll(packages, 0o755); err != nil {
			return err
		}
		// apt downloads as a user of its own where it may write.
		download := h.command(ctx, "apt-get", append([]string{"-o", "APT::Sandbox::User=root", "download"}, hostPackages...)...)
		download.Dir = packages
		if _, err := output(download); err != nil {
			return fmt.Errorf("%w\nif apt knows no such package: apt-get update", err)
		}
		archives, err := filepath.Glob(filepath.Join(packages, "*.deb"))
		if err != nil {
			return err
		}
		for _, archive := range archives {
			if _, err := output(h.command(ctx, "dpkg", "-x", archive, folder)); err != nil {
				return err
			}
		}
		// On an installed system update-alternatives does this.
		for _, program := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
			if err := os.Symlink("xtables-nft-multi", filepath.Join(folder, "usr/sbin", program)); err != nil {
				return err
			}
		}
		return os.RemoveAll(packages)
	})
}

func (h *harness) makeRoot(ctx context.Context) error {
	from := mirror
	if other := os.Getenv("PALISADE_DEBIAN_MIRROR"); other != "" {
		from = other
	}
	h.root = filepath.Join(h.cache, "root-"+key(nodePackages, release)+".tar")
	return whole(h.root, func(archive string) error {
		folder := archive + ".folder"
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		bootstrap := h.command(ctx, filepath.Join(h.debian, "usr/sbin/debootstrap"), "--variant=minbase", "--include="+nodePackages, release, folder, from)
		bootstrap.Env = append(bootstrap.Env, "DEBOOTSTRAP_DIR="+filepath.Join(h.debian, "usr/share/debootstrap"))
		if _, err := output(bootstrap); err != nil {
			return err
		}
		pack := h.command(ctx, "tar", "--create", "--file", archive, "--directory", folder, "--sort=name", "--one-file-system",
			"--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
			"--exclude=./usr/share/locale/*", "--exclude=./dev/*", ".")
		if _, err := output(pack); err != nil {
			return err
		}
		return os.RemoveAll(folder)
	})
}
