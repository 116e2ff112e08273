/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.training.Training;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Path2D;
import java.awt.image.BufferedImage;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;

/**
 * Each step's loss, gradient norm and rate: {@code loss.csv}, and a curve of the losses, {@code
 * loss.png}. A training that goes on drops the lines of steps that it makes again.
 */
final class LossLog implements AutoCloseable {
  private static final String HEADER = "step,loss,gradient_norm,rate";
  private static final int WIDTH = 960;
  private static final int HEIGHT = 480;
  private static final int MARGIN = 60;

  /** Share of a step in the smooth curve. */
  private static final double FRESH = 0.02;

  private final Path folder;
  private final List<Training.Step> steps = new ArrayList<>();
  private BufferedWriter csv;

  /**
   * @param after steps that the training has made
   */
  LossLog(Path folder, int after) throws IOException {
    this.folder = folder;
    Path file = folder.resolve("loss.csv");
    if (Files.exists(file)) {
      for (String line : Files.readAllLines(file)) {
        String[] cells = line.split(",");
        // A killed process may have left half a line.
        if (cells.length == 4
            && cells[0].matches("\\d+")
            && Integer.parseInt(cells[0]) <= after
            && cells[3].matches("[\\dE.-]+")) {
          steps.add(
              new Training.Step(
                  Integer.parseInt(cells[0]),
                  Float.parseFloat(cells[1]),
                  Double.parseDouble(cells[2]),
                  Double.parseDouble(cells[3])));
        }
      }
    }
    rewrite(after);
  }

  private void rewrite(int after) throws IOException {
    if (csv != null) {
      csv.close();
    }
    steps.removeIf(step -> step.number() > after);
    csv =
        Files.newBufferedWriter(
            folder.resolve("loss.csv"),
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING);
    csv.write(HEADER + "\n");
    for (Training.Step step : steps) {
      write(step);
    }
  }

  void add(Training.Step step) {
    steps.add(step);
    try {
      write(step);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void write(Training.Step step) throws IOException {
    csv.write(
        step.number() + "," + step.loss() + "," + step.gradientNorm() + "," + step.rate() + "\n");
  }

  /** Drops steps that are made again. */
  void backTo(int step) {
    try {
      rewrite(step);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes what was added to disk, and the curve. */
  void save() throws IOException {
    csv.flush();
    if (!steps.isEmpty()) {
      ImageIO.write(curve(), "png", folder.resolve("loss.png").toFile());
    }
  }

  private BufferedImage curve() {
    BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
    Graphics2D g = image.createGraphics();
    g.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    g.setColor(Color.WHITE);
    g.fillRect(0, 0, WIDTH, HEIGHT);
    double least = steps.stream().mapToDouble(Training.Step::loss).min().orElseThrow();
    double most = steps.stream().mapToDouble(Training.Step::loss).max().orElseThrow();
    int last = steps.get(steps.size() - 1).number();
    g.setColor(Color.GRAY);
    g.drawRect(MARGIN, MARGIN / 2, WIDTH - MARGIN * 3 / 2, HEIGHT - MARGIN * 3 / 2);
    g.drawString("%.4g".formatted(most), 8, MARGIN / 2 + 10);
    g.drawString("%.4g".formatted(least), 8, HEIGHT - MARGIN);
    g.drawString("loss; step 1 to %,d".formatted(last), MARGIN, HEIGHT - MARGIN / 2);
    Path2D raw = new Path2D.Double();
    Path2D smooth = new Path2D.Double();
    double sum = 0;
    double weight = 0;
    for (Training.Step step : steps) {
      sum = (1 - FRESH) * sum + FRESH * step.loss();
      weight = (1 - FRESH) * weight + FRESH;
      double x = MARGIN + (WIDTH - MARGIN * 1.5) * (step.number() - 1) / Math.max(1, last - 1);
      add(raw, x, y(step.loss(), least, most));
      add(smooth, x, y(sum / weight, least, most));
    }
    g.setColor(new Color(0xb0c4de));
    g.draw(raw);
    g.setColor(new Color(0x1f4e8c));
    g.setStroke(new BasicStroke(2));
    g.draw(smooth);
    g.dispose();
    return image;
  }

  private static double y(double loss, double least, double most) {
    double share = most > least ? (loss - least) / (most - least) : 0.5;
    return HEIGHT - MARGIN - (HEIGHT - MARGIN * 1.5) * share;
  }

  private static void add(Path2D path, double x, double y) {
    if (path.getCurrentPoint() == null) {
      path.moveTo(x, y);
    } else {
      path.lineTo(x, y);
    }
  }

  @Override
  public void close() throws IOException {
    csv.close();
  }
}
