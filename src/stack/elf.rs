//! What an executable asks of the system it runs on, read from its ELF file. Anything that is not a whole ELF file is
//! answered with `None`: whether it can run is then for the system to say.

use crate::plan::Architecture;

/// Through `e_machine`.
pub const HEADER_BYTES: usize = 20;
/// `sh_type` of the section with the versions that are needed of libraries. LSB core specification, "Symbol
/// versioning".
const SHT_GNU_VERNEED: u32 = 0x6fff_fffe;
/// Entries that are read at most: a file that names more is broken.
const ENTRIES_MAX: usize = 10_000;

/// The machine in an ELF header: `e_machine` at offset 18, 62 for x86-64, 183 for AArch64. ELF gABI, chapter 4.
pub fn architecture(file: &[u8]) -> Option<Architecture> {
    let header = file.get(..HEADER_BYTES)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    match u16::from_le_bytes([header[18], header[19]]) {
        62 => Some(Architecture::X86_64),
        183 => Some(Architecture::Arm64),
        _ => None,
    }
}

/// The newest version of the GNU C library that a 64-bit little-endian ELF file needs a symbol of, as (major, minor).
/// `None` also for a static executable.
pub fn glibc_needed(file: &[u8]) -> Option<(u32, u32)> {
    // Class 2 is 64-bit, data 1 is little-endian. ELF gABI, chapter 4, as are the offsets below.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let sections =
        Sections { file, at: u64_at(file, 0x28)?, size: u16_at(file, 0x3a)?, count: u16_at(file, 0x3c)? };
    let needed = (0..sections.count).find(|index| sections.kind(*index) == Some(SHT_GNU_VERNEED))?;
    let strings = sections.content(sections.link(needed)?)?;
    let versions = versions(sections.content(needed)?, strings);
    versions.iter().filter_map(|name| glibc_version(name)).max()
}

struct Sections<'a> {
    file: &'a [u8],
    at: usize,
    size: usize,
    count: usize,
}

impl<'a> Sections<'a> {
    fn header(&self, index: usize) -> Option<&'a [u8]> {
        let from = self.at.checked_add(index.checked_mul(self.size)?)?;
        self.file.get(from..from.checked_add(self.size)?)
    }

    fn kind(&self, index: usize) -> Option<u32> {
        u32_at(self.header(index)?, 0x04)
    }

    /// Of a section with versions: the one with their names.
    fn link(&self, index: usize) -> Option<usize> {
        usize::try_from(u32_at(self.header(index)?, 0x28)?).ok()
    }

    fn content(&self, index: usize) -> Option<&'a [u8]> {
        let header = self.header(index)?;
        let (from, size) = (u64_at(header, 0x18)?, u64_at(header, 0x20)?);
        self.file.get(from..from.checked_add(size)?)
    }
}

/// The names of all versions: a list of libraries, each with a list of versions, linked by relative offsets.
fn versions<'a>(needed: &[u8], strings: &'a [u8]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut library = Some(0);
    while let Some(at) = library
        && found.len() < ENTRIES_MAX
    {
        let mut version = next(needed, at, 0x08);
        while let Some(at) = version
            && found.len() < ENTRIES_MAX
        {
            found.push(u32_at(needed, at + 0x08).and_then(|name| text(strings, name)).unwrap_or_default());
            version = next(needed, at, 0x0c);
        }
        library = next(needed, at, 0x0c);
    }
    found
}

/// Where the entry is that `at` refers to with the offset at `member`; 0 ends a list.
fn next(needed: &[u8], at: usize, member: usize) -> Option<usize> {
    let offset = usize::try_from(u32_at(needed, at.checked_add(member)?)?).ok()?;
    (offset > 0).then(|| at.checked_add(offset)).flatten().filter(|at| *at < needed.len())
}

fn text(strings: &[u8], at: u32) -> Option<&str> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()
}

/// `GLIBC_2.34` or `GLIBC_2.2.5`.
fn glibc_version(name: &str) -> Option<(u32, u32)> {
    let mut parts = name.strip_prefix("GLIBC_")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes_at(bytes, at)?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes_at(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes_at(bytes, at)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_versions() {
        assert_eq!(glibc_version("GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc_version("GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version("GLIBC_PRIVATE"), None);
        assert_eq!(glibc_version("GCC_3.0"), None);
    }

    /// This test is itself such an executable, and runs on the C library of this system.
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    #[test]
    fn this_test_needs_a_c_library_and_every_part_of_it_is_read_without_a_panic() {
        let file = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let (major, minor) = glibc_needed(&file).expect("a dynamic executable");
        assert!(major == 2 && (17..100).contains(&minor), "{major}.{minor}");
        for keep in [0, 5, 16, 63, 64, file.len() / 2, file.len() - 1] {
            let _ = glibc_needed(&file[..keep]);
        }
        let mut broken = file[..64].to_vec();
        broken[0x28..0x40].fill(0xff);
        assert_eq!(glibc_needed(&broken), None);
    }

    /// Offsets that lead back to where they were would never end.
    #[test]
    fn lists_that_turn_in_circles_end() {
        let mut needed = vec![0; 0x20];
        needed[0x08] = 0x10;
        needed[0x1c] = 0xff;
        assert_eq!(versions(&needed, b"").len(), 1);
    }
}
