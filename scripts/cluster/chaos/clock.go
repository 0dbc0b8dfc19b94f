package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// skew sets the clock of one running process off, and gives back what puts it right again. A program without libc cannot be given
// another clock by LD_PRELOAD (libfaketime). It asks the kernel's page in its memory for the time (vdso(7)), and
// what stands there is its own copy as soon as it is written to.
func skew(pid int, by time.Duration) (mend func() error, err error) {
	at, err := clockGettime(pid)
	if err != nil {
		return nil, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	code := skewed(int32(by / time.Second)) //nolint:gosec // minutes
	was := make([]byte, len(code))
	if _, err = memory.ReadAt(was, at); err == nil {
		_, err = memory.WriteAt(code, at)
	}
	if err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	return func() error {
		_, err := memory.WriteAt(was, at)
		return errors.Join(err, memory.Close())
	}, nil
}

// clockGettime is where the process has the function.
func clockGettime(pid int) (int64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	var from, to int64
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err = fmt.Sscanf(line, "%x-%x", &from, &to)
		}
	}
	if err != nil || from == 0 {
		return 0, errors.Join(err, errors.New("the process has no vDSO"))
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = memory.Close() }() // read only
	image := make([]byte, to-from)
	if _, err := memory.ReadAt(image, from); err != nil {
		return 0, err
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return from + int64(s.Value), nil //nolint:gosec // an address
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime")
}

// skewed is the function in x86-64: it asks the kernel, and adds seconds to what the clock of the day says.
func skewed(seconds int32) []byte {
	code := []byte{
		0xb8, 228, 0, 0, 0, // mov  eax, SYS_clock_gettime
		0x0f, 0x05, //         syscall
		0x85, 0xff, //         test edi, edi
		0x75, 0x07, //         jne  +7: not CLOCK_REALTIME
		0x48, 0x81, 0x06, 0, 0, 0, 0, // add qword [rsi], seconds
		0xc3, // ret
	}
	binary.LittleEndian.PutUint32(code[14:], uint32(seconds)) //nolint:gosec // as it is written down
	return code
}
