//go:build tools

// Package tools pins the program that the test harness builds.
package tools

import _ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
