/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import java.nio.ByteBuffer;
import org.apache.flink.annotation.Internal;

/**
 * PyTorch's CPU generator: the same seed gives the values of {@code torch.randn(n,
 * generator=torch.Generator("cpu") .manual_seed(seed))} in float32.
 *
 * <p>The uniform bits come from mt19937. PyTorch turns them into normal values in two different
 * ways, and both are here:
 *
 * <ul>
 *   <li>16 values or more: Box-Muller on blocks of 16 float32 uniforms, vectorised. When the size
 *       is no multiple of 16 the last 16 values are drawn again, over those already there. The
 *       logarithm, sine and cosine are PyTorch's own polynomials in the order of operations that
 *       its AVX2 build uses (fused multiply-adds included), so the result is the same to the bit on
 *       x86; PyTorch on other processors calls its C library and may differ in the last bit.
 *   <li>fewer than 16: Box-Muller in double precision, one value at a time. Values come in pairs,
 *       and the second of a pair waits for the next such call, even when longer draws lie in
 *       between.
 * </ul>
 *
 * <p><b>Which stream this is.</b> For a float16 or bfloat16 tensor PyTorch's CPU generator draws
 * coarser uniforms (11 or 8 bits) and so makes <em>other</em> values, not rounded ones. This class
 * follows the float32 stream whatever precision the network runs in: a pipeline that wants a
 * half-precision latent rounds what it gets here.
 */
@Internal
public final class TorchGenerator implements NoiseSource {

  private static final int STATE_WORDS = 624;
  private static final int SHIFT_WORDS = 397;

  /** "TG" and the version of the layout; see {@link #saveState()}. */
  private static final int STATE_MAGIC = 0x54470001;

  private static final int STATE_BYTES =
      2 * Integer.BYTES + STATE_WORDS * Integer.BYTES + 1 + Double.BYTES;

  private static final int BLOCK = 16;
  private static final int HALF_BLOCK = BLOCK / 2;

  private final int[] state;

  /**
   * Index of the next word of {@link #state} to hand out; {@link #STATE_WORDS} when all are spent.
   */
  private int next;

  /** The waiting second half of a pair drawn by the short path; NaN when none waits. */
  private double waiting;

  /**
   * A generator as after {@code manual_seed(seed)}.
   *
   * @param seed any value; as in PyTorch only its low 32 bits matter
   */
  public TorchGenerator(long seed) {
    this.state = new int[STATE_WORDS];
    state[0] = (int) seed;
    for (int i = 1; i < STATE_WORDS; i++) {
      state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
    this.next = STATE_WORDS;
    this.waiting = Double.NaN;
  }

  private TorchGenerator(int[] state, int next, double waiting) {
    this.state = state;
    this.next = next;
    this.waiting = waiting;
  }

  @Override
  public float[] gaussian(int n) {
    if (n < 0) {
      throw new IllegalArgumentException(
          "Drawing noise: the number of values is " + n + ", it must be 0 or more");
    }
    float[] values = new float[n];
    if (n < BLOCK) {
      for (int i = 0; i < n; i++) {
        values[i] = (float) nextDoubleGaussian();
      }
      return values;
    }
    fillUniform(values, 0, n);
    for (int i = 0; i + BLOCK <= n; i += BLOCK) {
      boxMuller(values, i);
    }
    if (n % BLOCK != 0) {
      fillUniform(values, n - BLOCK, n);
      boxMuller(values, n - BLOCK);
    }
    return values;
  }

  /** Another generator at the same place of the stream, which is drawn from by itself. */
  public TorchGenerator copy() {
    return new TorchGenerator(state.clone(), next, waiting);
  }

  /**
   * The whole state, about 2.5 KB: a magic number, the position, the 624 words of mt19937, and the
   * waiting value with a flag, all big-endian. It is this project's layout and not that of {@code
   * torch.Generator.get_state()}.
   */
  public byte[] saveState() {
    ByteBuffer buffer = ByteBuffer.allocate(STATE_BYTES).putInt(STATE_MAGIC).putInt(next);
    buffer.asIntBuffer().put(state);
    buffer.position(buffer.position() + STATE_WORDS * Integer.BYTES);
    return buffer.put((byte) (Double.isNaN(waiting) ? 0 : 1)).putDouble(waiting).array();
  }

  /**
   * A generator that continues where the saved one stood.
   *
   * @throws IllegalArgumentException when the bytes are not what {@link #saveState()} wrote
   */
  public static TorchGenerator restore(byte[] saved) {
    if (saved.length != STATE_BYTES) {
      throw new IllegalArgumentException(
          "Restoring a noise generator: "
              + saved.length
              + " bytes, a saved state has "
              + STATE_BYTES);
    }
    ByteBuffer buffer = ByteBuffer.wrap(saved);
    int magic = buffer.getInt();
    if (magic != STATE_MAGIC) {
      throw new IllegalArgumentException(
          String.format(
              "Restoring a noise generator: the state starts with %08x, this version reads %08x",
              magic, STATE_MAGIC));
    }
    int next = buffer.getInt();
    if (next < 0 || next > STATE_WORDS) {
      throw new IllegalArgumentException(
          "Restoring a noise generator: position " + next + " is outside 0.." + STATE_WORDS);
    }
    int[] words = new int[STATE_WORDS];
    buffer.asIntBuffer().get(words);
    buffer.position(buffer.position() + STATE_WORDS * Integer.BYTES);
    boolean hasWaiting = buffer.get() != 0;
    double waiting = buffer.getDouble();
    return new TorchGenerator(words, next, hasWaiting ? waiting : Double.NaN);
  }

  // ---------------------------------------------------------------- uniform bits

  /** The next 32 uniform bits: a word of mt19937, which NumPy's RandomState draws, too. */
  public int nextInt() {
    if (next == STATE_WORDS) {
      twist();
    }
    int y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >>> 18);
  }

  private void twist() {
    for (int i = 0; i < STATE_WORDS; i++) {
      int mixed = (state[i] & 0x80000000) | (state[(i + 1) % STATE_WORDS] & 0x7fffffff);
      int twisted = (mixed >>> 1) ^ ((mixed & 1) == 0 ? 0 : 0x9908b0df);
      state[i] = state[(i + SHIFT_WORDS) % STATE_WORDS] ^ twisted;
    }
    next = 0;
  }

  private void fillUniform(float[] values, int from, int to) {
    for (int i = from; i < to; i++) {
      values[i] = (nextInt() & 0xffffff) * 0x1p-24f;
    }
  }

  private double nextDoubleUniform() {
    long high = nextInt();
    long low = nextInt() & 0xffffffffL;
    return (((high << 32) | low) & 0x1fffffffffffffL) * 0x1p-53;
  }

  // ---------------------------------------------------------------- short path

  private double nextDoubleGaussian() {
    if (!Double.isNaN(waiting)) {
      double value = waiting;
      waiting = Double.NaN;
      return value;
    }
    double angle = 2 * Math.PI * nextDoubleUniform();
    double radius = Math.sqrt(-2 * Math.log1p(-nextDoubleUniform()));
    waiting = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  // ---------------------------------------------------------------- block path

  /** Turns 16 uniforms, in place, into 16 normals: value j and value j + 8 make a pair. */
  private static void boxMuller(float[] values, int offset) {
    for (int j = offset; j < offset + HALF_BLOCK; j++) {
      float radius = (float) Math.sqrt(-2f * log(1f - values[j]));
      float angle = (float) (2 * Math.PI) * values[j + HALF_BLOCK];
      // Octant reduction: angle = octant * pi/4 + rest, in three parts of pi/4 so that nothing
      // cancels.
      int octant = ((int) (angle * 1.27323954473516f) + 1) & ~1;
      float rest = Math.fma((float) octant, -0.78515625f, angle);
      rest = Math.fma((float) octant, -2.4187564849853515625e-4f, rest);
      rest = Math.fma((float) octant, -3.77489497744594108e-8f, rest);
      float square = rest * rest;
      float cosine = shortCosine(square);
      float sine = shortSine(rest, square);
      boolean swap = (octant & 2) != 0;
      float sinAngle = swap ? cosine : sine;
      float cosAngle = swap ? sine : cosine;
      boolean negateSine = (octant & 4) != 0;
      boolean negateCosine = ((octant - 2) & 4) == 0;
      values[j] = radius * (negateCosine ? -cosAngle : cosAngle);
      values[j + HALF_BLOCK] = radius * (negateSine ? -sinAngle : sinAngle);
    }
  }

  /** Cephes' cosine on |x| <= pi/4, given x². */
  private static float shortCosine(float square) {
    float y = Math.fma(2.443315711809948e-5f, square, -1.388731625493765e-3f);
    y = Math.fma(y, square, 4.166664568298827e-2f) * square;
    return Math.fma(y, square, -(square * 0.5f)) + 1f;
  }

  /** Cephes' sine on |x| <= pi/4. */
  private static float shortSine(float x, float square) {
    float y = Math.fma(-1.9515295891e-4f, square, 8.3321608736e-3f);
    y = Math.fma(y, square, -1.6666654611e-1f) * square;
    return Math.fma(y, x, x);
  }

  /** Cephes' natural logarithm for 2^-24 <= x <= 1. */
  private static float log(float x) {
    int bits = Float.floatToRawIntBits(x);
    float exponent = (bits >>> 23) - 126;
    float mantissa = Float.intBitsToFloat((bits & 0x007fffff) | 0x3f000000);
    float m = mantissa - 1f;
    if (mantissa < 0.707106781186547524f) {
      exponent -= 1f;
      m += mantissa;
    }
    float square = m * m;
    float y = Math.fma(7.0376836292e-2f, m, -1.1514610310e-1f);
    y = Math.fma(y, m, 1.1676998740e-1f);
    y = Math.fma(y, m, -1.2420140846e-1f);
    y = Math.fma(y, m, 1.4249322787e-1f);
    y = Math.fma(y, m, -1.6668057665e-1f);
    y = Math.fma(y, m, 2.0000714765e-1f);
    y = Math.fma(y, m, -2.4999993993e-1f);
    y = Math.fma(y, m, 3.3333331174e-1f) * m;
    y = Math.fma(y, square, exponent * -2.12194440e-4f);
    y = Math.fma(-square, 0.5f, y);
    return Math.fma(exponent, 0.693359375f, m + y);
  }
}
