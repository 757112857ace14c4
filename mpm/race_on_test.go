//go:build race

package mpm

const raceEnabled = true
