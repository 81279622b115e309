//go:build tools

// Naming macat here keeps its dependencies in go.mod and go.sum, so that
// `go build go.nanomsg.org/mangos/v3/macat/macat` works in this module.
package main

import _ "go.nanomsg.org/mangos/v3/macat/macat"
