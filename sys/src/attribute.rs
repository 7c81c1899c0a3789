//! Extended attributes of files: how a service manager marks what it delegated.
#![expect(unsafe_code, reason = "getxattr has no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest value that is read, in bytes: ours are single words.
const LONGEST: usize = 256;

/// The value of an attribute.
///
/// # Errors
/// The kernel's answer; `ENODATA` where there is none.
pub fn read(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let path = CString::new(path.as_os_str().as_bytes()).map_err(invalid)?;
    let name = CString::new(name).map_err(invalid)?;
    let mut value = vec![0_u8; LONGEST];
    // SAFETY: both strings end with a NUL and outlive the call, and the kernel
    // writes at most `LONGEST` bytes to `value`.
    let read = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            LONGEST,
        )
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    value.truncate(read);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(read(Path::new("/"), "user.nobody.set.this").is_err());
        assert!(read(Path::new("/not/there"), "user.x").is_err());
        assert!(read(Path::new("/"), "a\0b").is_err());
    }
}
