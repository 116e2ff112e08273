/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static io.github.flinkdiffusion.ops.image.PlaneWaves.F;
import static io.github.flinkdiffusion.ops.image.PlaneWaves.PERIOD;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * An invisible mark with 48 bits of payload that survives JPEG compression, cropping, scaling and
 * changes of brightness. A spread spectrum mark after Cox et al. 1997 (Secure spread spectrum
 * watermarking for multimedia) with a key.
 *
 * <p><b>The mark.</b> A sum of about 690 plane waves in all three colors alike, which repeats every
 * 128 pixels. The key decides which waves are the <i>pilot</i>, which never changes, and which
 * carry the payload, and all phases. Six symbols of 8 bits each are words of a biorthogonal code of
 * length 128 (rows of a Hadamard matrix, and their negatives). Amplitudes follow the activity of
 * the image around a pixel, and the whole is scaled to a peak signal-to-noise ratio of 40.1 dB
 * after rounding to 8 bits. The embedder reads its own mark and gives more to symbols that the
 * image disturbs.
 *
 * <p><b>Reading.</b> The image less its blurred self, divided by the deviation around each pixel,
 * is multiplied with the waves at a number of scales. The pilot tells where a period begins, so
 * cropping does no harm. Symbols are then decoded by the largest correlation.
 *
 * <p><b>False positives.</b> Chips of the payload are multiplied with signs that follow from the
 * key. For a picture that was not marked with the key, its chips c and the signs are independent.
 * So by Hoeffding's inequality one word's correlation exceeds z times the norm of c with a
 * probability of at most exp(-z^2 / 2), whatever the picture is; where to look is decided by the
 * pilot, whose signs are independent of these. There are 2^48 words and at most 2^13 attempts for a
 * picture: z = 10.59 keeps the sum below 1e-6.
 */
@Internal
public final class SpreadWatermark {
  /** Bits of a payload. */
  public static final int PAYLOAD_BITS = 48;

  /** Sides below this are not marked: less than two periods. */
  public static final int LEAST_SIDE = 256;

  private static final int SYMBOLS = 6;
  private static final int SYMBOL_BITS = 8;
  private static final int WORD = 128;

  /** Waves of a symbol: each has two chips, its real and its imaginary part. */
  private static final int WAVES = WORD / 2;

  /** Amplitude of a pilot wave, of that of the payload's. */
  private static final double PILOT = 0.6;

  /** Mean square error in levels of 255: 40.2 dB, less what rounding to 8 bits adds. */
  private static final double ERROR = 255 * 255 / Math.pow(10, 4.02);

  private static final int ROUNDS = 4;

  /** Places that are decoded for a scale, of the largest correlations with the pilot. */
  private static final int PLACES = 24;

  /** At most 341 scales of {@value #PLACES} places. */
  private static final int MOST_ATTEMPTS = 1 << 13;

  /** See the class: sqrt(2 ln(2^48 * 2^13 / 1e-6)). */
  static final double THRESHOLD = Math.sqrt(2 * Math.log(0x1p48 * MOST_ATTEMPTS / 1e-6));

  /** Scales at which images are passed on. */
  private static final double[] COMMON = {1, 0.5, 0.8, 0.75, 2.0 / 3, 0.9, 0.6, 1.25, 1.5, 2};

  private static final double SMALLEST = 0.4;
  private static final double LARGEST = 2.0;

  /** Pixels at the original scale that a search through all scales looks at, from the middle. */
  private static final int SEARCHED = 512;

  /** Pixels of a side that are looked at where the scale is a common one. */
  private static final int LOOKED_AT = 2048;

  private static final int HALVES = 2 * PERIOD;

  private final int[] pilotU;
  private final int[] pilotV;
  private final double[] pilotReal;
  private final double[] pilotImaginary;
  private final int[] payloadU;
  private final int[] payloadV;
  private final int[][] signs = new int[SYMBOLS][WORD];

  public SpreadWatermark(WatermarkKey key) {
    List<int[]> waves = new ArrayList<>();
    for (int v = 0; v <= F; v++) {
      for (int u = -F; u <= F; u++) {
        double radius = Math.sqrt(u * u + v * v);
        if ((v > 0 || u > 0) && radius >= PlaneWaves.LOWEST && radius <= PlaneWaves.HIGHEST) {
          waves.add(new int[] {u, v});
        }
      }
    }
    WatermarkKey.Stream order = key.stream("order");
    for (int i = waves.size() - 1; i > 0; i--) {
      Collections.swap(waves, i, order.below(i + 1));
    }
    int payload = SYMBOLS * WAVES;
    payloadU = waves.subList(0, payload).stream().mapToInt(wave -> wave[0]).toArray();
    payloadV = waves.subList(0, payload).stream().mapToInt(wave -> wave[1]).toArray();
    List<int[]> pilots = waves.subList(payload, waves.size());
    pilotU = pilots.stream().mapToInt(wave -> wave[0]).toArray();
    pilotV = pilots.stream().mapToInt(wave -> wave[1]).toArray();
    WatermarkKey.Stream phases = key.stream("pilot");
    pilotReal = pilots.stream().mapToDouble(wave -> phases.sign() * Math.sqrt(0.5)).toArray();
    pilotImaginary = pilots.stream().mapToDouble(wave -> phases.sign() * Math.sqrt(0.5)).toArray();
    WatermarkKey.Stream payloads = key.stream("payload");
    for (int[] symbol : signs) {
      Arrays.setAll(symbol, i -> payloads.sign());
    }
  }

  /**
   * What was read.
   *
   * @param payload 48 bits
   * @param score correlation in deviations of chance; at least {@link #THRESHOLD}
   * @param scale of the picture, of that at which it was marked
   */
  public record Reading(long payload, double score, double scale) {}

  /** How far to look. */
  public enum Search {
    /** The scales at which images are usually passed on: 1, 1/2, 4/5 and others. */
    COMMON,
    /** Then all scales from 0.4 to 2, which takes a minute. */
    ALL
  }

  /** Whether pictures of this size are marked: 256 pixels a side, at least. */
  public static boolean fits(int height, int width) {
    return height >= LEAST_SIDE && width >= LEAST_SIDE;
  }

  // ---------------------------------------------------------------- embedding

  /**
   * A picture with the payload in it.
   *
   * @param picture red, green and blue in 0..1, of a size that {@link #fits fits}
   * @param payload its lowest 48 bits
   * @throws ImageException if it has other than 3 channels, is smaller, or holds a value that is
   *     not finite
   */
  public Raster embed(Raster picture, long payload) {
    check(picture);
    int height = picture.height();
    int width = picture.width();
    if (!fits(height, width)) {
      throw new ImageException(
          "%s is too small to be marked; %d pixels a side are the least"
              .formatted(picture, LEAST_SIDE));
    }
    int[] symbols = new int[SYMBOLS];
    for (int i = 0; i < SYMBOLS; i++) {
      symbols[i] = (int) (payload >>> SYMBOL_BITS * (SYMBOLS - 1 - i)) & 0xff;
    }
    float[] mask = LumaPlane.of(picture.data(), height, width).mask();
    double[] gains = new double[SYMBOLS];
    Arrays.fill(gains, 1);
    for (int round = 0; ; round++) {
      float[] tile = tile(symbols, gains);
      float[] marked = marked(picture, tile, mask);
      if (round == ROUNDS) {
        return new Raster(3, height, width, marked, picture.format(), picture.metadata());
      }
      adjust(gains, symbols, PlaneWaves.spectrum(LumaPlane.of(marked, height, width), 1));
    }
  }

  /** More for symbols that are hard to tell from others, less for the rest. */
  private void adjust(double[] gains, int[] symbols, double[][] spectrum) {
    double[] margins = new double[SYMBOLS];
    double mean = 0;
    double own = 0;
    double[][] chips = chips(spectrum, 0, 0);
    for (int i = 0; i < SYMBOLS; i++) {
      double[] correlations = correlations(chips[i], signs[i]);
      int row = symbols[i] & WORD - 1;
      double right = symbols[i] < WORD ? correlations[row] : -correlations[row];
      double other = 0;
      for (int j = 0; j < WORD; j++) {
        other = j == row ? other : Math.max(other, Math.abs(correlations[j]));
      }
      margins[i] = right - other;
      mean += margins[i] / SYMBOLS;
      own += Math.abs(right) / SYMBOLS;
    }
    double sum = 0;
    for (int i = 0; i < SYMBOLS; i++) {
      double change = own == 0 ? 0 : -0.5 * (margins[i] - mean) / own;
      gains[i] *= StrictMath.exp(Math.max(-1, Math.min(1, change)));
      sum += gains[i];
    }
    for (int i = 0; i < SYMBOLS; i++) {
      gains[i] *= SYMBOLS / sum;
    }
  }

  /** One period of the mark. */
  private float[] tile(int[] symbols, double[] gains) {
    double[][] real = new double[F + 1][2 * F + 1];
    double[][] imaginary = new double[F + 1][2 * F + 1];
    for (int i = 0; i < pilotU.length; i++) {
      real[pilotV[i]][pilotU[i] + F] = PILOT * pilotReal[i];
      imaginary[pilotV[i]][pilotU[i] + F] = PILOT * pilotImaginary[i];
    }
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
      for (int i = 0; i < WAVES; i++) {
        int wave = symbol * WAVES + i;
        real[payloadV[wave]][payloadU[wave] + F] = chip(symbols, symbol, i) * gains[symbol];
        imaginary[payloadV[wave]][payloadU[wave] + F] =
            chip(symbols, symbol, WAVES + i) * gains[symbol];
      }
    }
    return PlaneWaves.samples(real, imaginary, PERIOD, 0.5);
  }

  private double chip(int[] symbols, int symbol, int i) {
    int row = symbols[symbol] & WORD - 1;
    int word = (Integer.bitCount(row & i) & 1) == 0 ? 1 : -1;
    return Math.sqrt(0.5) * word * (symbols[symbol] < WORD ? 1 : -1) * signs[symbol][i];
  }

  /** The picture with as much of the mark as the error allows, of what remains after clipping. */
  private static float[] marked(Raster picture, float[] tile, float[] mask) {
    int height = picture.height();
    int width = picture.width();
    int pixels = height * width;
    float[] mark = new float[pixels];
    double sum = 0;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int at = y * width + x;
        mark[at] = tile[y % PERIOD * PERIOD + x % PERIOD] * mask[at];
        sum += (double) mark[at] * mark[at];
      }
    }
    double amplitude = Math.sqrt(ERROR * pixels / sum);
    double most = 2 * amplitude;
    float[] data = picture.data();
    float[] marked = new float[data.length];
    for (int pass = 0; ; pass++) {
      double error = 0;
      float strength = (float) (amplitude / 255);
      for (int channel = 0; channel < 3; channel++) {
        for (int i = 0; i < pixels; i++) {
          int at = channel * pixels + i;
          float before = Math.max(0, Math.min(1, data[at]));
          marked[at] = Math.max(0, Math.min(1, before + strength * mark[i]));
          double difference = 255.0 * (marked[at] - before);
          error += difference * difference;
        }
      }
      if (pass == 2) {
        return marked;
      }
      amplitude = Math.min(most, amplitude * Math.sqrt(ERROR * 3 * pixels / Math.max(1e-9, error)));
    }
  }

  // ---------------------------------------------------------------- reading

  /**
   * Looks for a mark of this key.
   *
   * @param picture with 3 channels, or gray
   * @return empty if there is none, with a probability of at most 1e-6 of a wrong answer
   * @throws ImageException if it has 2 or more than 4 channels, or a value that is not finite
   */
  public Optional<Reading> read(Raster picture, Search search) {
    Raster color = picture.channels() == 3 ? picture : asColor(picture);
    check(color);
    LumaPlane whole = LumaPlane.of(color.data(), color.height(), color.width());
    LumaPlane looked = whole.middle(LOOKED_AT);
    Optional<Reading> found = Optional.empty();
    for (int i = 0; i < COMMON.length && found.isEmpty(); i++) {
      found = at(looked, COMMON[i]);
    }
    if (found.isPresent() || search == Search.COMMON) {
      return found;
    }
    double longest = Math.max(color.height(), color.width());
    for (double scale = SMALLEST; scale <= LARGEST && found.isEmpty(); ) {
      found = at(whole.middle((int) Math.ceil(SEARCHED * scale)), scale);
      scale *= 1 + 6 / Math.max(LEAST_SIDE, Math.min(SEARCHED, longest / scale));
    }
    return found;
  }

  private static Raster asColor(Raster picture) {
    int pixels = picture.height() * picture.width();
    float[] data = new float[3 * pixels];
    int channels = picture.channels();
    if (channels != 1 && channels != 4) {
      throw new ImageException(
          "%s cannot be searched for a watermark: red, green and blue, or gray, are needed"
              .formatted(picture));
    }
    for (int channel = 0; channel < 3; channel++) {
      System.arraycopy(
          picture.data(), channels == 1 ? 0 : channel * pixels, data, channel * pixels, pixels);
    }
    return new Raster(3, picture.height(), picture.width(), data);
  }

  private Optional<Reading> at(LumaPlane plane, double scale) {
    double[][] spectrum = PlaneWaves.spectrum(plane, scale);
    Reading best = null;
    for (int place : places(spectrum)) {
      Reading reading = decode(spectrum, place / HALVES / 2.0, place % HALVES / 2.0, scale);
      if (best == null || reading.score > best.score) {
        best = reading;
      }
    }
    return Optional.ofNullable(best).filter(reading -> reading.score >= THRESHOLD);
  }

  /** The best places of a period's beginning, in half pixels. */
  private int[] places(double[][] spectrum) {
    double[][] real = new double[F + 1][2 * F + 1];
    double[][] imaginary = new double[F + 1][2 * F + 1];
    for (int i = 0; i < pilotU.length; i++) {
      int v = pilotV[i];
      int u = pilotU[i] + F;
      double a = spectrum[2 * v][u];
      double b = spectrum[2 * v + 1][u];
      real[v][u] = pilotReal[i] * a + pilotImaginary[i] * b;
      imaginary[v][u] = pilotReal[i] * b - pilotImaginary[i] * a;
    }
    float[] correlations = PlaneWaves.samples(real, imaginary, HALVES, 0);
    int[] places = new int[PLACES];
    float[] largest = new float[PLACES];
    Arrays.fill(largest, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < correlations.length; i++) {
      if (correlations[i] > largest[PLACES - 1]) {
        int at = PLACES - 1;
        for (; at > 0 && largest[at - 1] < correlations[i]; at--) {
          largest[at] = largest[at - 1];
          places[at] = places[at - 1];
        }
        largest[at] = correlations[i];
        places[at] = i;
      }
    }
    return places;
  }

  private Reading decode(double[][] spectrum, double top, double left, double scale) {
    double[][] chips = chips(spectrum, top, left);
    long payload = 0;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < SYMBOLS; i++) {
      for (double chip : chips[i]) {
        squares += chip * chip;
      }
      double[] correlations = correlations(chips[i], signs[i]);
      int best = 0;
      for (int j = 1; j < WORD; j++) {
        best = Math.abs(correlations[j]) > Math.abs(correlations[best]) ? j : best;
      }
      sum += Math.abs(correlations[best]);
      payload = payload << SYMBOL_BITS | (correlations[best] > 0 ? best : best + WORD);
    }
    return new Reading(payload, squares == 0 ? 0 : sum / Math.sqrt(squares), scale);
  }

  /** Of each symbol, as if the period began at the given place. */
  private double[][] chips(double[][] spectrum, double top, double left) {
    double[][] chips = new double[SYMBOLS][WORD];
    for (int wave = 0; wave < payloadU.length; wave++) {
      double angle = 2 * Math.PI * (payloadV[wave] * top + payloadU[wave] * left) / PERIOD;
      double cos = StrictMath.cos(angle);
      double sin = StrictMath.sin(angle);
      double a = spectrum[2 * payloadV[wave]][payloadU[wave] + F];
      double b = spectrum[2 * payloadV[wave] + 1][payloadU[wave] + F];
      chips[wave / WAVES][wave % WAVES] = a * cos - b * sin;
      chips[wave / WAVES][WAVES + wave % WAVES] = a * sin + b * cos;
    }
    return chips;
  }

  /** With each row of the Hadamard matrix: the fast transform. */
  private static double[] correlations(double[] chips, int[] signs) {
    double[] values = new double[WORD];
    for (int i = 0; i < WORD; i++) {
      values[i] = chips[i] * signs[i];
    }
    for (int half = 1; half < WORD; half *= 2) {
      for (int i = 0; i < WORD; i++) {
        if ((i & half) == 0) {
          double a = values[i];
          double b = values[i + half];
          values[i] = a + b;
          values[i + half] = a - b;
        }
      }
    }
    return values;
  }

  private static void check(Raster picture) {
    if (picture.channels() != 3) {
      throw new ImageException(
          "%s cannot carry a watermark: red, green and blue are needed".formatted(picture));
    }
    for (float value : picture.data()) {
      if (!Float.isFinite(value)) {
        throw new ImageException(
            "%s holds the value %s; a watermark needs finite ones".formatted(picture, value));
      }
    }
  }
}
