/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.Denoiser;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.CholeskyDecomposition;
import org.apache.commons.math3.linear.EigenDecomposition;
import org.apache.commons.math3.linear.MatrixUtils;
import org.apache.commons.math3.linear.RealMatrix;

/**
 * Token embeddings to begin from: words that name a thing begin as what its drawings look like, by
 * their principal components, in place of as random vectors. Things that look alike then have
 * vectors alike, so what is learned of one is partly learned of the other. A regression from name
 * to picture had the same error after 0.6 times the steps.
 *
 * <p>Of a name of several words, the sum of their vectors says what the thing looks like (ridge
 * regression), as "face" is part of many names. All other parameters are another source's.
 */
final class WordVectors implements ParameterSource {
  private static final String EMBEDDING =
      Denoiser.TEXT_ENCODER + ".text_model.embeddings.token_embedding.weight";

  /** Pixels of a side that drawings are compared at. */
  private static final int SIDE = 24;

  /** Deviation of a name's vector: ten times that of embeddings that begin at random. */
  private static final double DEVIATION = 0.2;

  private static final double RIDGE = 0.01;

  private final Map<Integer, float[]> vectors;
  private final ParameterSource others;

  private WordVectors(Map<Integer, float[]> vectors, ParameterSource others) {
    this.vectors = vectors;
    this.others = others;
  }

  /**
   * @param size of a token's vector, of which each style has an equal share
   * @param others every other parameter, and what these vectors are added to
   */
  static WordVectors of(
      IconLibrary icons,
      List<Noun> nouns,
      int size,
      ClipTokenizer tokenizer,
      ParameterSource others) {
    RealMatrix looks = looks(icons, nouns, size);
    Map<String, Integer> names = names(nouns);
    Map<Integer, Integer> columns = new LinkedHashMap<>();
    for (String name : names.keySet()) {
      for (int token : tokens(name, tokenizer)) {
        columns.putIfAbsent(token, columns.size());
      }
    }
    RealMatrix uses = new Array2DRowRealMatrix(names.size(), columns.size());
    RealMatrix asked = new Array2DRowRealMatrix(names.size(), size);
    int row = 0;
    for (Map.Entry<String, Integer> name : names.entrySet()) {
      for (int token : tokens(name.getKey(), tokenizer)) {
        uses.setEntry(row, columns.get(token), 1);
      }
      asked.setRow(row++, looks.getRow(name.getValue()));
    }
    RealMatrix gram =
        uses.multiply(uses.transpose())
            .add(MatrixUtils.createRealIdentityMatrix(names.size()).scalarMultiply(RIDGE));
    RealMatrix solved =
        uses.transpose().multiply(new CholeskyDecomposition(gram).getSolver().solve(asked));
    Map<Integer, float[]> vectors = new LinkedHashMap<>();
    columns.forEach(
        (token, column) -> {
          float[] vector = new float[size];
          for (int i = 0; i < size; i++) {
            vector[i] = (float) solved.getEntry(column, i);
          }
          vectors.put(token, vector);
        });
    return new WordVectors(vectors, others);
  }

  /** Without start and end. */
  private static int[] tokens(String name, ClipTokenizer tokenizer) {
    int[] ids = tokenizer.encode(name).ids();
    int end = ids[ids.length - 1];
    int count = 1;
    while (ids[count] != end) {
      count++;
    }
    return Arrays.copyOfRange(ids, 1, count);
  }

  /** What may be said for each noun, by its number: all its names, and its plural. */
  private static Map<String, Integer> names(List<Noun> nouns) {
    Map<String, Integer> names = new LinkedHashMap<>();
    for (int i = 0; i < nouns.size(); i++) {
      for (String name : nouns.get(i).names()) {
        names.put(name, i);
      }
      int number = i;
      nouns.get(i).plural().ifPresent(plural -> names.putIfAbsent(plural, number));
    }
    return names;
  }

  /** A row for each noun: the first principal components of its drawing in each style. */
  private static RealMatrix looks(IconLibrary icons, List<Noun> nouns, int size) {
    int share = size / SceneStyle.values().length;
    RealMatrix looks = new Array2DRowRealMatrix(nouns.size(), size);
    for (SceneStyle style : SceneStyle.values()) {
      double[][] pictures =
          nouns.stream().map(noun -> picture(icons.icon(noun, style))).toArray(double[][]::new);
      looks.setSubMatrix(components(pictures, share).getData(), 0, style.ordinal() * share);
    }
    double norm = looks.getFrobeniusNorm();
    return looks.scalarMultiply(DEVIATION * Math.sqrt((double) nouns.size() * size) / norm);
  }

  /** On black, then on white, which together say where it is transparent. */
  private static double[] picture(BufferedImage drawing) {
    List<PlacedIcon> whole = List.of(new PlacedIcon(drawing, 0, 0, SIDE));
    float[] onBlack = SceneCanvas.draw(Color.BLACK, whole, SIDE);
    float[] onWhite = SceneCanvas.draw(Color.WHITE, whole, SIDE);
    double[] picture = new double[onBlack.length + onWhite.length];
    for (int i = 0; i < onBlack.length; i++) {
      picture[i] = onBlack[i];
      picture[onBlack.length + i] = onWhite[i];
    }
    return picture;
  }

  /**
   * Scores of the first principal components: each about the mean, as large as the share of the
   * variance that it explains. Found by the Gram matrix, as there are fewer pictures than pixels.
   */
  static RealMatrix components(double[][] pictures, int count) {
    int pixels = pictures[0].length;
    double[] mean = new double[pixels];
    for (double[] picture : pictures) {
      for (int i = 0; i < pixels; i++) {
        mean[i] += picture[i] / pictures.length;
      }
    }
    RealMatrix centered = new Array2DRowRealMatrix(pictures);
    for (int i = 0; i < pictures.length; i++) {
      centered.setRowVector(
          i, centered.getRowVector(i).subtract(MatrixUtils.createRealVector(mean)));
    }
    EigenDecomposition eigen = new EigenDecomposition(centered.multiply(centered.transpose()));
    RealMatrix scores = new Array2DRowRealMatrix(pictures.length, count);
    for (int i = 0; i < count; i++) {
      double deviation = Math.sqrt(Math.max(0, eigen.getRealEigenvalue(i)));
      scores.setColumnVector(i, eigen.getEigenvector(i).mapMultiply(deviation));
    }
    return scores;
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    if (!name.equals(EMBEDDING)) {
      others.write(name, shape, out);
      return;
    }
    ByteArrayOutputStream random = new ByteArrayOutputStream();
    others.write(name, shape, random);
    ByteBuffer bytes = ByteBuffer.wrap(random.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    FloatBuffer values = bytes.asFloatBuffer();
    int size = (int) shape[1];
    vectors.forEach(
        (token, vector) -> {
          for (int i = 0; i < size; i++) {
            int at = token * size + i;
            values.put(at, values.get(at) + vector[i]);
          }
        });
    out.write(bytes.array());
  }
}
