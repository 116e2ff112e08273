/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.credentials.ContentCredentials;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.credentials.TestCertificates;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Functions of images that need no model, in both modes. */
class PlainFunctionsITCase {
  @RegisterExtension
  private static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  private TableEnvironment sql;

  @BeforeEach
  void newSession() {
    sql = TableEnvironment.create(EnvironmentSettings.inBatchMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql("LOAD MODULE diffusion");
  }

  private Row row(String select) throws Exception {
    List<Row> rows = new ArrayList<>();
    try (CloseableIterator<Row> results = sql.executeSql("SELECT " + select).collect()) {
      results.forEachRemaining(rows::add);
    }
    assertThat(rows).hasSize(1);
    return rows.get(0);
  }

  private static String bytes(byte[] file) {
    return "x'" + HexFormat.of().formatHex(file) + "'";
  }

  private static Raster scene() {
    float[] values = new float[6 * 4];
    for (int i = 0; i < values.length; i++) {
      values[i] = i / 24f;
    }
    return new Raster(
        1,
        4,
        6,
        values,
        PixelFormat.of(Bands.GRAY, SampleType.UINT16),
        ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 10, 20, 2)));
  }

  @Test
  void aFileTellsWhatItHolds() throws Exception {
    Row info =
        (Row) row("IMAGE_INFO(" + bytes(Images.write(scene(), "image/tiff")) + ")").getField(0);
    assertThat(info).isEqualTo(Row.of("image/tiff", 6, 4, 1, "UINT16", 0.0, 65535.0, 32633, null));
  }

  @Test
  void aFileTellsWhetherItIsSigned() throws Exception {
    byte[] file = Images.write(scene(), "image/tiff");
    TestCertificates certificates = TestCertificates.ed25519();
    byte[] signed =
        ContentCredentials.sign(
            file, new Origin("Flink Diffusion", "1", "{}", List.of()), certificates.key());

    Row plain = (Row) row("IMAGE_CREDENTIALS(" + bytes(file) + ")").getField(0);
    Row known = (Row) row("IMAGE_CREDENTIALS(" + bytes(signed) + ")").getField(0);

    assertThat(plain.getField(0)).isEqualTo("NONE");
    assertThat(known.getField(0)).isEqualTo("VALID");
    assertThat(known.getField(2)).isEqualTo("Flink Diffusion 1");
    assertThat((Object[]) known.getField(3)).containsExactly("trainedAlgorithmicMedia");
    assertThat(known.getField(6)).isEqualTo("{}");
  }

  @Test
  void aWatermarkIsReadWithItsKey(@TempDir Path folder) throws Exception {
    Path key = Files.writeString(folder.resolve("key"), "a secret of 16 bytes or more");
    Raster plain = Raster.filled(3, 256, 256, 0.4f);
    Raster marked = new SpreadWatermark(WatermarkKey.read(key)).embed(plain, 42);

    Row row =
        row(
            "IMAGE_WATERMARK(%s, '%s'), IMAGE_WATERMARK(%s, '%s')"
                .formatted(
                    bytes(PngCodec.encode(marked)), key, bytes(PngCodec.encode(plain)), key));

    assertThat(((Row) row.getField(0)).getField(0)).isEqualTo("00000000002a");
    assertThat(row.getField(1)).isNull();
  }

  /** Case D1: its preamble is a whole TIFF file's. */
  @Test
  void imageInfoAndTheReaderAgreeOnWhichKindAFileIs() throws Exception {
    byte[] file;
    try (var in = getClass().getResourceAsStream("/fixtures/dicom/dicom-and-tiff.dcm")) {
      file = in.readAllBytes();
    }
    Row info = (Row) row("IMAGE_INFO(" + bytes(file) + ")").getField(0);
    assertThat(info.getField(0)).isEqualTo("application/dicom");
    assertThat(info.getField(1)).isEqualTo(64);
    assertThat(info.getField(4)).isEqualTo("INT16");
  }

  @Test
  void picturesAreResizedAndConverted() throws Exception {
    String tiff = bytes(Images.write(scene(), "image/tiff"));
    Row row = row("IMAGE_RESIZE(%s, 12, 8), IMAGE_CONVERT(%s, 'png')".formatted(tiff, tiff));
    Raster larger = Images.read((byte[]) row.getField(0), ReadOptions.DEFAULT);
    assertThat(larger.width()).isEqualTo(12);
    assertThat(larger.metadata().georeference().orElseThrow().pixelScale().get(0)).isEqualTo(1);
    byte[] png = (byte[]) row.getField(1);
    assertThat(Images.mediaType(png)).contains("image/png");
    assertThat(Images.read(png, ReadOptions.DEFAULT).data()).hasSize(24);
  }

  @Test
  void qualitiesAreThoseOfThePlainFunctions() throws Exception {
    byte[] black = Images.write(Raster.filled(1, 16, 16, 0), "image/png");
    byte[] gray = Images.write(Raster.filled(1, 16, 16, 0.2f), "image/png");
    float[] half = new float[256];
    java.util.Arrays.fill(half, 0, 128, 1);
    byte[] top = Images.write(new Raster(1, 16, 16, half), "image/png");
    byte[] all = Images.write(Raster.filled(1, 16, 16, 1), "image/png");
    Row row =
        row(
            "PSNR(%s, %s), SSIM(%s, %s), DICE(%s, %s), IOU(%s, %s)"
                .formatted(
                    bytes(gray),
                    bytes(black),
                    bytes(gray),
                    bytes(gray),
                    bytes(top),
                    bytes(all),
                    bytes(top),
                    bytes(all)));
    assertThat((double) row.getField(0)).isCloseTo(-20 * Math.log10(0.2), within(1e-6));
    assertThat((double) row.getField(1)).isCloseTo(1, within(1e-9));
    assertThat((double) row.getField(2)).isCloseTo(2.0 / 3, within(1e-9));
    assertThat((double) row.getField(3)).isCloseTo(0.5, within(1e-9));
  }

  @Test
  void whatIsNullOrCanNotBeDoneIsNull() throws Exception {
    byte[] small = Images.write(Raster.filled(1, 16, 16, 0), "image/png");
    byte[] other = Images.write(Raster.filled(1, 8, 16, 0), "image/png");
    Row row =
        row(
            "IMAGE_INFO(CAST(NULL AS BYTES)), IMAGE_INFO(x'00'), IMAGE_RESIZE(%s, 0, 5),"
                    .formatted(bytes(small))
                + " IMAGE_CONVERT(%s, 'gif'), PSNR(%s, %s), PAYLOAD('s3://b/x', 'ab', 1)"
                    .formatted(bytes(small), bytes(small), bytes(other)));
    assertThat(row).isEqualTo(Row.of(null, null, null, null, null, null));
  }

  @Test
  void controlImagesAreMadeOfImages() throws Exception {
    float[] values = new float[20 * 10];
    for (int i = 0; i < values.length; i++) {
      values[i] = i % 20 < 10 ? 0 : 1;
    }
    String half = bytes(PngCodec.encode(new Raster(1, 10, 20, values)));
    String classes = bytes(PngCodec.encode(new Raster(1, 1, 2, new float[] {0, 1 / 255f})));
    Row row =
        row(
            "IMAGE_EDGES(%1$s), IMAGE_EDGES(%1$s, 2000, 3000.5), IMAGE_FIT(%1$s, 8, 8), IMAGE_CLASS_COLORS(%2$s), IMAGE_CLASS_COLORS(%2$s, '000000 06e6e6'), IMAGE_CLASS_COLORS(%2$s, '06e6e6'), IMAGE_FIT(%1$s, 0, 8), IMAGE_EDGES(x'00')"
                .formatted(half, classes));
    Raster edges = PngCodec.decode((byte[]) row.getField(0));
    for (int y = 0; y < 10; y++) {
      for (int x = 0; x < 20; x++) {
        assertThat(edges.at(0, y, x)).isEqualTo(x == 9 ? 1 : 0);
      }
    }
    assertThat(PngCodec.decode((byte[]) row.getField(1)).data()).containsOnly(0);
    Raster fitted = PngCodec.decode((byte[]) row.getField(2));
    assertThat(List.of(fitted.height(), fitted.width())).containsExactly(8, 8);
    assertThat(fitted.at(0, 4, 0)).isZero();
    assertThat(fitted.at(0, 4, 7)).isEqualTo(1);
    assertThat(PngCodec.decode((byte[]) row.getField(3)).at(0, 0, 1)).isEqualTo(128 / 255f);
    assertThat(PngCodec.decode((byte[]) row.getField(4)).at(2, 0, 1)).isEqualTo(230 / 255f);
    assertThat(row.getField(5)).isNull();
    assertThat(row.getField(6)).isNull();
    assertThat(row.getField(7)).isNull();
  }

  @Test
  void orItFailsTheJobWhereThatIsWanted() {
    sql.executeSql("UNLOAD MODULE diffusion");
    sql.executeSql("LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    sql.getConfig().set("restart-strategy.type", "fixed-delay");
    sql.getConfig().set("restart-strategy.fixed-delay.attempts", "1");
    assertThatThrownBy(() -> row("IMAGE_RESIZE(x'00', 4, 4)"))
        .hasStackTraceContaining("The failure is not recoverable")
        .hasStackTraceContaining("1 bytes");
    assertThatThrownBy(() -> sql.executeSql("LOAD MODULE diffusion WITH ('on-eror' = 'FAIL')"))
        .hasStackTraceContaining("Unknown option 'on-eror' of the module");
  }

  @Test
  void whatLiesBesideKafkaIsReadWhereThatIsAllowed(@TempDir Path folder) throws Exception {
    byte[] file = {1, 2, 3};
    Path inside = Files.write(folder.resolve("inside"), file);
    TableEnvironment allowed = TableEnvironment.create(EnvironmentSettings.inBatchMode());
    allowed.getConfig().set("parallelism.default", "1");
    allowed.getConfig().set(PayloadOptions.ALLOWED_PREFIXES.key(), folder.toUri().toString());
    allowed.executeSql("LOAD MODULE diffusion");
    sql = allowed;
    String digest = Payloads.sha256(file);
    assertThat((byte[]) row("PAYLOAD('%s', '%s', 3)".formatted(inside.toUri(), digest)).getField(0))
        .containsExactly(file);
    assertThat(row("PAYLOAD('%s', '%s', 3)".formatted(inside.toUri(), "0".repeat(64))).getField(0))
        .isNull();
  }
}
