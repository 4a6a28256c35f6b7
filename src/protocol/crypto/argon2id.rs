//! Argon2id (RFC 9106), which makes each guess at what a person remembers cost 64 MiB of memory and
//! a tenth of a second.
//!
//! The parameters are the second recommended ones of RFC 9106, section 4: what even a small machine
//! can afford. They are fixed by the formats that use them and never sent, so that nobody can make
//! this end compute for hours. The four lanes are computed one after another.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::protocol::crypto::secret::{Secret, wipe_stack_deep};

/// KiB of memory: 64 MiB.
const MEMORY: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// The system did not grant the memory that a derivation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// 32 bytes from a password, at most 1,024 bytes long, and a salt of 8 bytes or more.
///
/// # Errors
/// [`OutOfMemory`].
pub fn argon2id(password: &[u8], salt: &[u8]) -> Result<Secret<32>, OutOfMemory> {
    derive(MEMORY, PASSES, password, salt)
}

/// Like [`argon2id`], with the least memory that four lanes allow, for tests that run thousands of
/// handshakes.
#[cfg(test)]
pub(crate) fn argon2id_cheap(password: &[u8], salt: &[u8]) -> Result<Secret<32>, OutOfMemory> {
    derive(8 * LANES, 1, password, salt)
}

fn derive(
    memory: u32,
    passes: u32,
    password: &[u8],
    salt: &[u8],
) -> Result<Secret<32>, OutOfMemory> {
    // The crate refuses none of the parameters and lengths that callers use.
    let parameters = Params::new(memory, passes, LANES, Some(32)).map_err(|_| OutOfMemory)?;
    let output =
        fill(&Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters), password, salt);
    // Wipes here, because the crate's frame lay below this function's.
    wipe_stack_deep();
    output
}

#[inline(never)]
fn fill(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<Secret<32>, OutOfMemory> {
    let count = argon2.params().block_count();
    // Our own buffer, so that it gets wiped: the last pass is as sensitive as the output.
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
    memory.resize(count, Block::default());
    let mut output = Secret::zeroed();
    let filled =
        argon2.hash_password_into_with_memory(password, salt, output.bytes_mut(), &mut memory[..]);
    filled.map(|()| output).map_err(|_| OutOfMemory)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;

    fn bytes(words: [u128; 2]) -> Vec<u8> {
        words.map(u128::to_be_bytes).concat()
    }

    /// RFC 9106, section 5.3. The vector has a key and associated data, which nothing else here
    /// uses.
    #[test]
    fn the_published_vector() {
        let parameters = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .output_len(32)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let key = [3; 8];
        let argon2 =
            Argon2::new_with_secret(&key, Algorithm::Argon2id, Version::V0x13, parameters).unwrap();
        let expected =
            [0x0d64_0df5_8d78_766c_08c0_37a3_4a8b_53c9, 0xd01e_f045_2d75_b65e_b525_20e9_6b01_e659];
        assert_eq!(fill(&argon2, &[1; 32], &[2; 16]).unwrap().bytes()[..], bytes(expected));
    }

    /// Computed by the reference implementation, libargon2: `printf password | argon2
    /// 0123456789abcdef -id -t 3 -m 16 -p 4 -l 32 -r`.
    #[test]
    fn the_parameters_are_the_second_recommended_ones() {
        let expected =
            [0xb8a6_4b68_dea6_b88c_a8c8_862b_e706_aac3, 0x7cbe_cda0_db7b_d68b_48f8_fa2e_7feb_6f3e];
        let output = argon2id(b"password", b"0123456789abcdef").unwrap();
        assert_eq!(output.bytes()[..], bytes(expected));
    }
}
