/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Compared with PROJ's numbers, as rasterio.warp.transform gives them. */
class MapProjectionTest {

  @ParameterizedTest
  @CsvSource({
    "32633, 15, 52.5, 500000.0000000011, 5816652.006459358",
    "32633, 12, 0.001, 166021.4431311626, 110.68275598742355",
    "32633, 17.99, 83.9, 535457.2000062875, 9317850.302331258",
    "32633, 21.5, 45, 1012299.123483096, 5003542.821347273",
    "32733, 16.2, -33.9, 610950.177018842, 6248283.651076244",
    "32733, 15, -79.9, 500000.0000000003, 1129575.6778774373",
    "32601, -177.3, 12, 467342.1357498159, 1326571.411977908",
    "25832, 9.5, 50.1, 535759.0758897726, 5549868.957234353",
    "3857, 15, 52.5, 1669792.3618991035, 6891041.723891586",
    "3857, -179.9, -85, -20026376.393709917, -19971868.880408566",
    "4326, 15, 52.5, 15, 52.5"
  })
  void numbersAreProjsToHalfAMillimetreInBothDirections(
      int epsg, double longitude, double latitude, double x, double y) {
    MapProjection projection = MapProjection.of(epsg).orElseThrow();
    double[] map = projection.fromDegrees(longitude, latitude);
    assertThat(map[0]).isCloseTo(x, within(5e-4));
    assertThat(map[1]).isCloseTo(y, within(5e-4));
    MapProjection.Degrees degrees = projection.toDegrees(x, y);
    assertThat(degrees.longitude()).isCloseTo(longitude, within(5e-9));
    assertThat(degrees.latitude()).isCloseTo(latitude, within(5e-9));
  }

  @Test
  void otherSystemsAreNotConverted() {
    for (int epsg : new int[] {27700, 2154, 26710, 32600, 32661, 25827, 0}) {
      assertThat(MapProjection.of(epsg)).isEmpty();
    }
  }
}
