// fails panics in a callback. Its panic hook does what the Rust SDK's does: it logs the panic's text as critical.
//
// Build: ./build.sh rust
#![no_std]
#![no_main]

use core::fmt::Write;

#[link(wasm_import_module = "env")]
extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
}

struct Line {
    text: [u8; 256],
    size: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for b in s.bytes() {
            if self.size < self.text.len() {
                self.text[self.size] = b;
                self.size += 1;
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn hook(info: &core::panic::PanicInfo) -> ! {
    let mut line = Line { text: [0; 256], size: 0 };
    let _ = write!(line, "{}", info);
    unsafe { proxy_log(5, line.text.as_ptr(), line.size) };
    core::arch::wasm32::unreachable()
}

#[no_mangle]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[no_mangle]
pub extern "C" fn proxy_on_memory_allocate(_size: usize) -> usize {
    0
}

#[no_mangle]
#[inline(never)]
pub extern "C" fn divide(a: u32, b: u32) -> u32 {
    a / b
}

#[no_mangle]
pub extern "C" fn proxy_on_request_headers(_context: u32, count: u32, end: u32) -> u32 {
    divide(count, end - 1)
}
