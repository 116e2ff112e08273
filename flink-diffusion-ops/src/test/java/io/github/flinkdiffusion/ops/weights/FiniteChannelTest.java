/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.util.Arrays;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Halves are looked at four at a time, which must find the same as one after the other. */
class FiniteChannelTest {

  private static ByteBuffer halves(short... values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asShortBuffer().put(values);
    return bytes;
  }

  private static byte[] passed(DType dtype, ByteBuffer elements) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int count = elements.remaining() / dtype.bytes();
    new FiniteChannel(Channels.newChannel(out), "a file", TensorInfo.of("w", dtype, count))
        .write(elements);
    return out.toByteArray();
  }

  @Property(tries = 500)
  void anyHalvesAreJudgedAsOneByOne(
      @ForAll @Size(min = 1, max = 19) short[] values, @ForAll boolean brain) throws IOException {
    DType dtype = brain ? DType.BF16 : DType.F16;
    int first = -1;
    for (int i = values.length - 1; i >= 0; i--) {
      float value =
          brain ? HalfPrecision.bf16ToFloat(values[i]) : HalfPrecision.f16ToFloat(values[i]);
      first = Float.isFinite(value) ? first : i;
    }
    ByteBuffer elements = halves(values);
    if (first < 0) {
      assertThat(passed(dtype, elements)).isEqualTo(halves(values).array());
    } else {
      String place = "at element " + first + ";";
      assertThatThrownBy(() -> passed(dtype, elements)).hasMessageContaining(place);
    }
  }

  @Property(tries = 200)
  void oneThatIsNotFiniteIsFoundWhereverItIs(
      @ForAll @IntRange(min = 1, max = 40) int count,
      @ForAll @IntRange(min = 0, max = 39) int at,
      @ForAll boolean infinite) {
    short[] values = new short[count];
    // The greatest finite number, whose exponent lacks one bit.
    Arrays.fill(values, (short) 0x7BFF);
    values[at % count] = (short) (infinite ? 0xFC00 : 0x7E00);
    assertThatThrownBy(() -> passed(DType.F16, halves(values)))
        .hasMessageContaining("tensor 'w' holds " + (infinite ? "-Infinity" : "NaN"))
        .hasMessageContaining("at element " + at % count + ";");
  }

  @Example
  void theGreatestFiniteNumbersPass() throws IOException {
    short[] values = new short[9];
    Arrays.fill(values, (short) 0xFBFF);
    assertThat(passed(DType.F16, halves(values))).hasSize(18);
    Arrays.fill(values, (short) 0x7F7F);
    assertThat(passed(DType.BF16, halves(values))).hasSize(18);
  }
}
