//go:build tools

// Package tools pins the program that the test harness builds.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
