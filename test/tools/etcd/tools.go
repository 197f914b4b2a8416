//go:build tools

// Package tools pins the program that the test harness builds.
package tools

import _ "go.etcd.io/etcd/server/v3/etcdmain"
