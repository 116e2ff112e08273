/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.DepthFreedom;
import io.github.flinkdiffusion.ops.pipeline.MinimumCertainty;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class EnsembleTest {
  private static final int SIDE = 24;
  private static final int PLANE = SIDE * SIDE;

  @Test
  void oneSampleIsItself() {
    Raster sample = depth(1, 0, 0, 1);
    assertThat(Ensemble.reduced(List.of(sample), ResultMeaning.PICTURE)).isSameAs(sample);
    assertThat(Ensemble.reduced(List.of(sample), ResultMeaning.depth(DepthFreedom.SCALE_AND_SHIFT)))
        .isSameAs(sample);
  }

  @Test
  void samplesOfPicturesAreTheirMeanAndDeviation() {
    Raster stacked =
        Ensemble.reduced(
            List.of(Raster.filled(3, 2, 2, 0.2f), Raster.filled(3, 2, 2, 0.6f)),
            ResultMeaning.PICTURE);
    assertThat(stacked.channels()).isEqualTo(4);
    assertThat(stacked.at(1, 0, 0)).isCloseTo(0.4f, within(1e-6f));
    assertThat(stacked.at(3, 1, 1)).isCloseTo(0.2f, within(1e-6f));
  }

  @Test
  void samplesOfClassesAreVotes() {
    ClassMap map = ClassMap.binary("nothing", "something");
    Raster stacked =
        Ensemble.reduced(
            List.of(Raster.filled(1, 1, 1, 1.4f), Raster.filled(1, 1, 1, -0.3f)),
            ResultMeaning.classes(map));
    assertThat(stacked.data()).containsExactly(0.5f, 0.5f);
  }

  /** 0.6 for any mask, 0.9 for one of half of the pixels or more. */
  private static ResultMeaning ofSureClasses() {
    ClassMap map = ClassMap.binary("nothing", "something");
    return ResultMeaning.classes(
        new ClassMap(
            map.encoding(),
            map.labels(),
            map.palette(),
            map.background(),
            1,
            new MinimumCertainty(
                List.of(new MinimumCertainty.Step(0, 0.6), new MinimumCertainty.Step(0.5, 0.9)))));
  }

  @Test
  void aMaskThatIsNowhereSureEnoughIsEmptyAndASmallOneMayBeLessSure() {
    for (float sure : new float[] {0.55f, 0.65f, 0.95f}) {
      float[] small = {0.1f, 0.1f, sure, 0};
      float[] large = {0.5f, 0.1f, sure, 0};
      assertThat(Ensemble.reduced(List.of(new Raster(1, 1, 4, small)), ofSureClasses()).data())
          .containsExactly(sure >= 0.6f ? small : new float[4]);
      assertThat(Ensemble.reduced(List.of(new Raster(1, 1, 4, large)), ofSureClasses()).data())
          .containsExactly(sure >= 0.9f ? large : new float[4]);
    }
  }

  @Test
  void theMeanOfAnEnsembleNeedsToBeSureAndNotEachSample() {
    ResultMeaning meaning = ofSureClasses();
    Raster sure = new Raster(1, 1, 4, new float[] {0.9f, 0.1f, 0, 0});
    Raster unsure = new Raster(1, 1, 4, new float[] {0.5f, 0.1f, 0, 0});
    assertThat(Ensemble.answer(List.of(unsure), meaning).mean().data()).containsOnly(0);
    assertThat(Ensemble.answer(List.of(sure, unsure), meaning).mean().data())
        .containsExactly(new float[] {0.7f, 0.1f, 0, 0}, within(1e-6f));

    Raster elsewhere = new Raster(1, 1, 4, new float[] {0, 0, 0, 0.9f});
    Ensemble apart = Ensemble.answer(List.of(sure, elsewhere), meaning);
    assertThat(apart.mean().data()).containsOnly(0);
    assertThat(apart.spread().data())
        .containsExactly(new float[] {0.45f, 0.05f, 0, 0.45f}, within(1e-6f));
  }

  @Test
  void depthsThatDifferInScaleAndShiftAgree() {
    List<Raster> samples = List.of(depth(0.5, 0.3, 0, 1), depth(0.2, 0.7, 0, 2), depth(1, 0, 0, 3));
    Raster stacked = Ensemble.reduced(samples, ResultMeaning.depth(DepthFreedom.SCALE_AND_SHIFT));
    for (int i = 0; i < PLANE; i++) {
      assertThat(stacked.data()[i]).isCloseTo((float) truth(i), within(1e-5f));
      assertThat(stacked.data()[PLANE + i]).isCloseTo(0, within(1e-5f));
    }
  }

  @Test
  void depthsThatDifferInScaleAgreeAndKeepTheirZero() {
    List<Raster> samples = List.of(depth(0.5, 0.25, 0, 1), depth(0.2, 0.1, 0, 2));
    Raster stacked = Ensemble.reduced(samples, ResultMeaning.depth(DepthFreedom.SCALE));
    for (int i = 0; i < PLANE; i++) {
      assertThat(stacked.data()[i]).isCloseTo((float) ((truth(i) + 0.5) / 1.5), within(1e-5f));
      assertThat(stacked.data()[PLANE + i]).isCloseTo(0, within(1e-5f));
    }
  }

  @Test
  void depthsThatAreDepthsAreNotMoved() {
    List<Raster> samples = List.of(depth(0.5, 0.3, 0, 1), depth(0.5, 0.1, 0, 2));
    Raster stacked = Ensemble.reduced(samples, ResultMeaning.depth(DepthFreedom.NONE));
    assertThat(stacked.data()[0]).isCloseTo((float) (0.5 * truth(0) + 0.2), within(1e-6f));
    assertThat(stacked.data()[PLANE]).isCloseTo(0.1f, within(1e-6f));
  }

  @Test
  void anEnsembleOfNoisyDepthsIsBetterThanEachAndKnowsTheNoise() {
    List<Raster> samples = new ArrayList<>();
    Random random = new Random(4);
    for (int i = 0; i < 12; i++) {
      samples.add(depth(0.2 + 0.7 * random.nextDouble(), 0.1 * random.nextDouble(), 0.03, i));
    }
    Raster stacked = Ensemble.reduced(samples, ResultMeaning.depth(DepthFreedom.SCALE_AND_SHIFT));
    double error = 0;
    double spread = 0;
    for (int i = 0; i < PLANE; i++) {
      error += Math.abs(stacked.data()[i] - truth(i)) / PLANE;
      spread += stacked.data()[PLANE + i] / PLANE;
    }
    // The noise of each sample is 0.03 of its range.
    assertThat(error).isLessThan(0.02);
    assertThat(spread).isBetween(0.02, 0.04);
  }

  @Test
  void flatDepthsAreNoReasonToFail() {
    Raster stacked =
        Ensemble.reduced(
            List.of(Raster.filled(1, 2, 2, 0.4f), Raster.filled(1, 2, 2, 0.9f)),
            ResultMeaning.depth(DepthFreedom.SCALE_AND_SHIFT));
    for (float value : stacked.data()) {
      assertThat(value).isBetween(-1e-3f, 1e-3f);
    }
  }

  @Test
  void normalsMeetInTheMiddleAsAUnitVector() {
    // Along x and along y, in the numbers of a picture.
    Raster x = new Raster(3, 1, 1, new float[] {1, 0.5f, 0.5f});
    Raster y = new Raster(3, 1, 1, new float[] {0.5f, 1, 0.5f});
    Raster stacked = Ensemble.reduced(List.of(x, y), ResultMeaning.NORMALS);
    float half = (float) (Math.sqrt(0.5) / 2 + 0.5);
    assertThat(stacked.data())
        .containsExactly(new float[] {half, half, 0.5f, 0.25f}, within(1e-6f));
  }

  @Test
  void oppositeNormalsAreAsUncertainAsCanBe() {
    Raster up = new Raster(3, 1, 1, new float[] {0.5f, 1, 0.5f});
    Raster down = new Raster(3, 1, 1, new float[] {0.5f, 0, 0.5f});
    Raster stacked = Ensemble.reduced(List.of(up, down), ResultMeaning.NORMALS);
    assertThat(stacked.data()[3]).isCloseTo(0.5f, within(1e-6f));
  }

  /** A scene from 0 to 1. */
  private static double truth(int i) {
    return (i % SIDE + i / SIDE) / (2.0 * (SIDE - 1));
  }

  private static Raster depth(double scale, double shift, double noise, long seed) {
    Random random = new Random(seed);
    float[] values = new float[PLANE];
    for (int i = 0; i < PLANE; i++) {
      values[i] = (float) (scale * (truth(i) + noise * random.nextGaussian()) + shift);
    }
    return new Raster(1, SIDE, SIDE, values);
  }
}
