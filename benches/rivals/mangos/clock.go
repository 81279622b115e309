package main

import (
	"syscall"
	"unsafe"
)

const clockMonotonic = 1

// epochNs is CLOCK_MONOTONIC at about the time epoch was taken; the two lie less than a microsecond apart.
var epochNs = monotonicNs()

func monotonicNs() int64 {
	var now syscall.Timespec
	_, _, failure := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	if failure != 0 {
		check(failure)
	}
	return now.Nano()
}

func yield() {
	syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}
