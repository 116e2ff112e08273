/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * How coordinates of a map follow from longitude and latitude on WGS 84, and back: for degrees
 * themselves, Web Mercator, and the zones of UTM, all to less than a millimetre. Other coordinate
 * systems are not converted: most have a datum of their own, and a shift that is left out is an
 * error of up to some hundred metres that nobody sees.
 *
 * <p>ETRS89 counts as WGS 84, as EPSG's transformation between them has it (code 1149, accurate to
 * a metre).
 *
 * @see <a href="https://doi.org/10.1007/s00190-011-0445-3">Karney, Transverse Mercator with an
 *     accuracy of a few nanometers</a>, whose series of sixth order is taken for UTM
 */
@Internal
public sealed interface MapProjection {
  /** What files with a code that is not known may be told of. */
  String KNOWN =
      "EPSG:4326 and 4258 (degrees), 3857 (Web Mercator), 32601 to 32660, 32701 to 32760 and 25828 to 25838 (UTM)";

  /** Longitude and latitude in degrees. */
  record Degrees(double longitude, double latitude) {}

  /**
   * Of a coordinate system.
   *
   * @param epsg its code
   * @return empty if it is none of {@link #KNOWN}
   */
  static Optional<MapProjection> of(int epsg) {
    if (epsg == 4326 || epsg == 4258) {
      return Optional.of(new Geographic());
    }
    if (epsg == 3857) {
      return Optional.of(new WebMercator());
    }
    if (epsg > 32600 && epsg <= 32660) {
      return Optional.of(new Utm(epsg - 32600, false));
    }
    if (epsg > 32700 && epsg <= 32760) {
      return Optional.of(new Utm(epsg - 32700, true));
    }
    if (epsg >= 25828 && epsg <= 25838) {
      return Optional.of(new Utm(epsg - 25800, false));
    }
    return Optional.empty();
  }

  /** Coordinates of the map. */
  Degrees toDegrees(double x, double y);

  /** x and y on the map; not finite where the map does not reach. */
  double[] fromDegrees(double longitude, double latitude);

  /** Longitude and latitude themselves. */
  record Geographic() implements MapProjection {
    @Override
    public Degrees toDegrees(double x, double y) {
      return new Degrees(x, y);
    }

    @Override
    public double[] fromDegrees(double longitude, double latitude) {
      return new double[] {longitude, latitude};
    }
  }

  /** The projection of web maps: spherical, over the whole equator's circumference. */
  record WebMercator() implements MapProjection {
    private static final double RADIUS = 6378137;

    @Override
    public Degrees toDegrees(double x, double y) {
      return new Degrees(
          Math.toDegrees(x / RADIUS), Math.toDegrees(Math.atan(Math.sinh(y / RADIUS))));
    }

    @Override
    public double[] fromDegrees(double longitude, double latitude) {
      return new double[] {
        RADIUS * Math.toRadians(longitude), RADIUS * asinh(Math.tan(Math.toRadians(latitude)))
      };
    }
  }

  /**
   * A zone of UTM.
   *
   * @param zone from 1 to 60, each 6 degrees wide
   */
  record Utm(int zone, boolean south) implements MapProjection {
    private static final double FLATTENING = 1 / 298.257223563;
    private static final double N = FLATTENING / (2 - FLATTENING);
    private static final double ECCENTRICITY = Math.sqrt(FLATTENING * (2 - FLATTENING));
    private static final double SCALE = 0.9996;
    private static final double FALSE_EASTING = 500_000;
    private static final double FALSE_NORTHING = 10_000_000;

    /** Radius of the circle that is as long as a meridian, times the scale. */
    private static final double RADIUS =
        SCALE * 6378137 / (1 + N) * (1 + N * N / 4 + Math.pow(N, 4) / 64 + Math.pow(N, 6) / 256);

    /** Karney's equation 35, by powers of n. */
    private static final double[] ALPHA =
        series(
            new double[][] {
              {1.0 / 2, -2.0 / 3, 5.0 / 16, 41.0 / 180, -127.0 / 288, 7891.0 / 37800},
              {13.0 / 48, -3.0 / 5, 557.0 / 1440, 281.0 / 630, -1983433.0 / 1935360},
              {61.0 / 240, -103.0 / 140, 15061.0 / 26880, 167603.0 / 181440},
              {49561.0 / 161280, -179.0 / 168, 6601661.0 / 7257600},
              {34729.0 / 80640, -3418889.0 / 1995840},
              {212378941.0 / 319334400}
            });

    /** Equation 36. */
    private static final double[] BETA =
        series(
            new double[][] {
              {1.0 / 2, -2.0 / 3, 37.0 / 96, -1.0 / 360, -81.0 / 512, 96199.0 / 604800},
              {1.0 / 48, 1.0 / 15, -437.0 / 1440, 46.0 / 105, -1118711.0 / 3870720},
              {17.0 / 480, -37.0 / 840, -209.0 / 4480, 5569.0 / 90720},
              {4397.0 / 161280, -11.0 / 504, -830251.0 / 7257600},
              {4583.0 / 161280, -108847.0 / 3991680},
              {20648693.0 / 638668800}
            });

    private static double[] series(double[][] byPowers) {
      double[] sums = new double[byPowers.length];
      for (int j = 0; j < sums.length; j++) {
        for (int k = 0; k < byPowers[j].length; k++) {
          sums[j] += byPowers[j][k] * Math.pow(N, j + 1 + k);
        }
      }
      return sums;
    }

    private double centralMeridian() {
      return 6 * zone - 183;
    }

    @Override
    public double[] fromDegrees(double longitude, double latitude) {
      double lambda = Math.toRadians(longitude - centralMeridian());
      double tau = Math.tan(Math.toRadians(latitude));
      double conformal = conformal(tau);
      double cosine = Math.cos(lambda);
      if (!(cosine > 0)) {
        return new double[] {Double.NaN, Double.NaN}; // on the other side of the Earth
      }
      double xi = Math.atan2(conformal, cosine);
      double eta = asinh(Math.sin(lambda) / Math.hypot(conformal, cosine));
      double northing = xi;
      double easting = eta;
      for (int j = 0; j < ALPHA.length; j++) {
        double k = 2.0 * (j + 1);
        northing += ALPHA[j] * Math.sin(k * xi) * Math.cosh(k * eta);
        easting += ALPHA[j] * Math.cos(k * xi) * Math.sinh(k * eta);
      }
      return new double[] {
        RADIUS * easting + FALSE_EASTING, RADIUS * northing + (south ? FALSE_NORTHING : 0)
      };
    }

    @Override
    public Degrees toDegrees(double x, double y) {
      double xi = (y - (south ? FALSE_NORTHING : 0)) / RADIUS;
      double eta = (x - FALSE_EASTING) / RADIUS;
      double northing = xi;
      double easting = eta;
      for (int j = 0; j < BETA.length; j++) {
        double k = 2.0 * (j + 1);
        northing -= BETA[j] * Math.sin(k * xi) * Math.cosh(k * eta);
        easting -= BETA[j] * Math.cos(k * xi) * Math.sinh(k * eta);
      }
      double conformal = Math.sin(northing) / Math.hypot(Math.sinh(easting), Math.cos(northing));
      double lambda = Math.atan2(Math.sinh(easting), Math.cos(northing));
      return new Degrees(
          centralMeridian() + Math.toDegrees(lambda),
          Math.toDegrees(Math.atan(geodetic(conformal))));
    }

    /** The tangent of the conformal latitude, of that of the latitude. */
    private static double conformal(double tau) {
      double sigma = Math.sinh(ECCENTRICITY * atanh(ECCENTRICITY * tau / Math.sqrt(1 + tau * tau)));
      return tau * Math.sqrt(1 + sigma * sigma) - sigma * Math.sqrt(1 + tau * tau);
    }

    /** The way back, by Newton's method, whose third step is exact to the last digit. */
    private static double geodetic(double conformal) {
      double e2 = ECCENTRICITY * ECCENTRICITY;
      double tau = conformal / (1 - e2);
      for (int i = 0; i < 5; i++) {
        double found = conformal(tau);
        tau +=
            (conformal - found)
                / Math.sqrt(1 + found * found)
                * (1 + (1 - e2) * tau * tau)
                / ((1 - e2) * Math.sqrt(1 + tau * tau));
      }
      return tau;
    }

    private static double atanh(double x) {
      return Math.log1p(2 * x / (1 - x)) / 2;
    }
  }

  private static double asinh(double x) {
    return Math.copySign(Math.log1p(Math.abs(x) + x * x / (1 + Math.sqrt(1 + x * x))), x);
  }
}
