//! Digits of floats as the JSON library of the original finds them: with Grisu2 by Florian Loitsch.
//!
//! The digits always read as the same float again. They are nearly always the fewest that do, and in one of a thousand
//! cases not; as floats in JSON become part of derivations, those cases matter. Not done here: signs, zero, infinities, and
//! where the point goes.

/// The power of ten of the first entry of [`POWERS`]; each further one is eight more.
const FIRST_POWER: i32 = -300;

/// A number `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    /// With the highest bit of the significand set.
    const fn normalised(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self {
            significand: self.significand << shift,
            exponent: self.exponent - shift.cast_signed(),
        }
    }

    const fn with_exponent(self, exponent: i32) -> Self {
        Self {
            significand: self.significand << (self.exponent - exponent),
            exponent,
        }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = (product + (1 << 63)) >> 64;
        Self {
            significand: u64::try_from(rounded).unwrap_or(u64::MAX),
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// The digits of a positive finite float, and the power of ten of the last one.
pub(super) fn digits(float: f64) -> (Vec<u8>, i32) {
    let bits = float.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let value = match biased {
        0 => Scaled {
            significand: fraction,
            exponent: -1074,
        },
        biased => Scaled {
            significand: fraction | 1 << 52,
            exponent: biased - 1075,
        },
    };
    // Half way to the neighbours; the lower one is nearer at a power of two.
    let upper = Scaled {
        significand: 2 * value.significand + 1,
        exponent: value.exponent - 1,
    };
    let lower = match fraction == 0 && biased > 1 {
        true => Scaled {
            significand: 4 * value.significand - 1,
            exponent: value.exponent - 2,
        },
        false => Scaled {
            significand: 2 * value.significand - 1,
            exponent: value.exponent - 1,
        },
    };
    let upper = upper.normalised();
    let lower = lower.with_exponent(upper.exponent);
    let (power, decimal) = power_for(upper.exponent);
    let high = upper.times(power);
    let low = lower.times(power);
    let middle = value.normalised().times(power);
    // One unit inwards: the products may be off by that much.
    let high = Scaled {
        significand: high.significand - 1,
        ..high
    };
    let delta = high.significand - (low.significand + 1);
    let distance = high.significand - middle.significand;
    generate(high, delta, distance, -decimal)
}

/// A power of ten that brings a number with this exponent between 2^-60 and 2^-32, and which one it is.
fn power_for(exponent: i32) -> (Scaled, i32) {
    let wanted = -61 - exponent;
    let decimal = (wanted * 78_913) / (1 << 18) + i32::from(wanted > 0);
    let index = (decimal - FIRST_POWER + 7) / 8;
    let decimal = FIRST_POWER + 8 * index;
    let power = Scaled {
        significand: POWERS[usize::try_from(index).unwrap_or(0)],
        exponent: ((decimal * 1_741_647) >> 19) - 63,
    };
    (power, decimal)
}

/// Digits of a number not above `high` and at most `delta` below it, as near to `distance` below it as the last digit allows.
fn generate(high: Scaled, mut delta: u64, mut distance: u64, mut decimal: i32) -> (Vec<u8>, i32) {
    let shift = high.exponent.unsigned_abs();
    let one = 1_u64 << shift;
    let mut whole = high.significand >> shift;
    let mut fraction = high.significand & (one - 1);
    let mut digits = Vec::with_capacity(18);
    let mut places = whole.max(1).ilog10();
    let mut power = 10_u64.pow(places);
    loop {
        digits.push(digit(whole / power));
        whole %= power;
        let rest = (whole << shift) + fraction;
        if rest <= delta {
            decimal += places.cast_signed();
            approach(&mut digits, distance, delta, rest, power << shift);
            return (digits, decimal);
        }
        if places == 0 {
            break;
        }
        places -= 1;
        power /= 10;
    }
    loop {
        fraction *= 10;
        delta *= 10;
        distance *= 10;
        digits.push(digit(fraction >> shift));
        fraction &= one - 1;
        decimal -= 1;
        if fraction <= delta {
            approach(&mut digits, distance, delta, fraction, one);
            return (digits, decimal);
        }
    }
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or(0)
}

/// Lowers the last digit while that brings the number nearer to the float.
fn approach(digits: &mut [u8], distance: u64, delta: u64, mut rest: u64, unit: u64) {
    let Some(last) = digits.last_mut() else {
        return;
    };
    while rest < distance
        && delta - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        *last -= 1;
        rest += unit;
    }
}

/// Significands of powers of ten, rounded to 64 bits.
const POWERS: [u64; 79] = [
    0xab70_fe17_c79a_c6ca,
    0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c,
    0x8dd0_1fad_907f_fc3c,
    0xd351_5c28_3155_9a83,
    0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb,
    0xaecc_4991_4078_536d,
    0x823c_1279_5db6_ce57,
    0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f,
    0xd774_85cb_2582_3ac7,
    0xa086_cfcd_97bf_97f4,
    0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e,
    0x84c8_d4df_d2c6_3f3b,
    0xc5dd_4427_1ad3_cdba,
    0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584,
    0xa3ab_6658_0d5f_daf6,
    0xf3e2_f893_dec3_f126,
    0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b,
    0xc9bc_ff60_34c1_3053,
    0x964e_858c_91ba_2655,
    0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f,
    0xf8a9_5fcf_8874_7d94,
    0xb944_7093_8fa8_9bcf,
    0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6,
    0x993f_e2c6_d07b_7fac,
    0xe45c_10c4_2a2b_3b06,
    0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e,
    0xbce5_0864_9211_1aeb,
    0x8cbc_cc09_6f50_88cc,
    0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000,
    0xe8d4_a510_0000_0000,
    0xad78_ebc5_ac62_0000,
    0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3,
    0x8f7e_32ce_7bea_5c70,
    0xd5d2_38a4_abe9_8068,
    0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27,
    0xb0de_6538_8cc8_ada8,
    0x83c7_088e_1aab_65db,
    0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758,
    0xda01_ee64_1a70_8dea,
    0xa26d_a399_9aef_774a,
    0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877,
    0x865b_8692_5b9b_c5c2,
    0xc835_53c5_c896_5d3d,
    0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3,
    0xa59b_c234_db39_8c25,
    0xf6c6_9a72_a398_9f5c,
    0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2,
    0xcc20_ce9b_d35c_78a5,
    0x9816_5af3_7b21_53df,
    0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396,
    0xfb9b_7cd9_a4a7_443c,
    0xbb76_4c4c_a7a4_4410,
    0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c,
    0x9b10_a4e5_e991_3129,
    0xe710_9bfb_a19c_0c9d,
    0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85,
    0xbf21_e440_03ac_dd2d,
    0x8e67_9c2f_5e44_ff8f,
    0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(float: f64) -> String {
        let (digits, exponent) = digits(float);
        format!("{}e{exponent}", String::from_utf8(digits).unwrap())
    }

    #[test]
    fn digits_are_those_of_the_original() {
        let check = |float: f64, expected: &str| assert_eq!(text(float), expected);
        check(1.0, "1e0");
        check(0.1, "1e-1");
        check(5e-324, "5e-324");
        check(f64::MAX, "17976931348623157e292");
        check(f64::MIN_POSITIVE, "22250738585072014e-324");
        check(9_007_199_254_740_993.0, "9007199254740992e0");
        // Not the fewest, or not the nearest.
        check(0.005473, "54729999999999996e-19");
        check(7888.571641, "78885716410000005e-13");
        check(62.82821640352768, "62828216403527676e-15");
        check(76_619_862_235_747_392.0, "7661986223574739e1");
    }

    proptest! {
        #[test]
        fn digits_are_read_as_the_same_float(bits in 1_u64..0x7ff0_0000_0000_0000) {
            let float = f64::from_bits(bits);
            prop_assert_eq!(text(float).parse(), Ok(float));
        }
    }
}
