/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class EventCodecTest {
  private static final PromptEvent PROMPT =
      PromptEvent.newBuilder()
          .setId("order-17")
          .setPrompt("ein Leuchtturm in der Dämmerung 灯台")
          .setSeed(-7L)
          .setSteps(30)
          .setGuidanceScale(7.5)
          .setAttributes(Map.of("tenant", "a"))
          .build();

  private static final PayloadReference REFERENCE =
      new PayloadReference("s3://bucket/a", Payloads.sha256(new byte[] {1, 2}), 2L);

  static List<Sample<?>> samples() {
    return List.of(
        new Sample<>(EventCodec.prompts(), PROMPT),
        new Sample<>(
            EventCodec.images(),
            ImageEvent.newBuilder()
                .setId("order-17")
                .setImage(ByteBuffer.wrap(new byte[] {1, 2, 3}))
                .setWidth(64)
                .setHeight(32)
                .build()),
        new Sample<>(EventCodec.images(), everythingInAPicture()),
        new Sample<>(
            EventCodec.texts(),
            TextEvent.newBuilder()
                .setId("order-17")
                .setText("a red heart")
                .setTokens(3)
                .setEnded(false)
                .setScores(Map.of("heart", 0.75, "square", 0.25))
                .setSeed(7)
                .build()),
        new Sample<>(
            EventCodec.imageTasks(),
            ImageTaskEvent.newBuilder()
                .setId("scene-17")
                .setImage(Payloads.inline(new byte[] {4, 5}, "image/tiff"))
                .setMask(Payloads.stored(REFERENCE, "image/png"))
                .setStrength(0.5)
                .setEnsembleSize(5)
                .setOrigin(new RecordPosition("tasks", 0, 3L))
                .build()),
        new Sample<>(
            EventCodec.failures(),
            FailureEvent.newBuilder()
                .setReason(FailureReason.UNDECODABLE)
                .setMessage("no event")
                .setOriginal(ByteBuffer.wrap(new byte[] {9}))
                .setTopic("prompts")
                .setPartition(3)
                .setOffset(1L << 40)
                .build()),
        new Sample<>(
            EventCodec.progress(),
            ProgressEvent.newBuilder().setId("order-17").setStep(3).setTotalSteps(30).build()),
        new Sample<>(
            EventCodec.cancellations(),
            CancelEvent.newBuilder().setId("order-17").setReason("paid back").build()),
        new Sample<>(
            EventCodec.models(),
            ModelEvent.newBuilder().setId("swap-1").setVersion("v2").setFolder("/m/v2").build()),
        new Sample<>(
            EventCodec.votes(),
            VoteEvent.newBuilder()
                .setId("vote-17")
                .setCriterion(VoteCriterion.REALISM)
                .setChoice(VoteChoice.TIE)
                .setFirst(new VoteSubject(false, "a", "d", "sd", "m", 0, 1L << 40))
                .setSecond(new VoteSubject(true, "dog.jpg", "e", "", "", null, null))
                .setMillis(1234)
                .build()),
        new Sample<>(
            EventCodec.prompts(),
            PromptEvent.newBuilder(PROMPT)
                .setDeadline(1_700_000_000_000L)
                .setOrigin(new RecordPosition("prompts", 3, 1L << 40))
                .build()));
  }

  /** A result of a segmentation, with every part that one may have. */
  private static ImageEvent everythingInAPicture() {
    return Payloads.setPicture(ImageEvent.newBuilder(), Payloads.stored(REFERENCE, "image/tiff"))
        .setId("scene-17")
        .setWidth(8192)
        .setHeight(8192)
        .setMask(Payloads.inline(new byte[] {1}, "image/png"))
        .setUncertainty(Payloads.stored(REFERENCE, "image/tiff"))
        .setRegions(
            new Regions(
                "EPSG:32633",
                List.of(
                    new Region(
                        "lake",
                        0.8,
                        17L,
                        1700.0,
                        "m2",
                        new Box(0.0, 1.0, 5.0, 4.0),
                        "{\"type\":\"Polygon\",\"coordinates\":[]}"))))
        .setAudit(
            AuditRecord.newBuilder()
                .setModel("mini")
                .setModelDigest("ab")
                .setTask("segmentation")
                .setScheduler("DDIMScheduler")
                .setSteps(20)
                .setSeed(7)
                .setParameters(Map.of("ensembleSize", "5"))
                .setInputDigests(Map.of("image", REFERENCE.getSha256()))
                .setSoftwareVersion("0.1.0")
                .build())
        .build();
  }

  record Sample<T extends SpecificRecord>(EventCodec<T> codec, T event) {
    void roundTrips() throws UndecodableEventException {
      assertThat(codec.decode(codec.encode(event))).isEqualTo(event);
    }

    byte[] bytes() {
      return codec.encode(event);
    }
  }

  @ParameterizedTest
  @MethodSource("samples")
  void everyEventComesBackAsItWas(Sample<?> sample) throws Exception {
    sample.roundTrips();
  }

  @ParameterizedTest
  @MethodSource("samples")
  void theKindOfAnEventIsToldByItsBytes(Sample<?> sample) throws Exception {
    assertThat(EventCodec.decodeAny(sample.bytes())).isEqualTo(sample.event());
  }

  @Test
  void bytesThatAreNoEventAreOfNoKind() {
    assertThatThrownBy(() -> EventCodec.decodeAny(new byte[] {1, 2}))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining(
            "[01 02] are not an event in Avro's single-object encoding; expected one of"
                + " [PromptEvent, ImageTaskEvent,");
  }

  @Test
  void bytesAreAvrosSingleObjectEncodingSoThatAnyAvroLibraryReadsThem() throws Exception {
    byte[] bytes = EventCodec.prompts().encode(PROMPT);
    assertThat(Arrays.copyOf(bytes, 2)).containsExactly(0xC3, 0x01);
    assertThat(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(2))
        .isEqualTo(SchemaNormalization.parsingFingerprint64(PromptEvent.getClassSchema()));
    assertThat(PromptEvent.getDecoder().decode(bytes)).isEqualTo(PROMPT);
  }

  @Test
  void refusesBytesOfAnotherFormatAndSaysWhichIsExpected() {
    byte[] json = "{\"prompt\": \"a cat\"}".getBytes(UTF_8);
    assertThatThrownBy(() -> EventCodec.prompts().decode(json))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("[7b 22 70 72 6f 6d 70 74]")
        .hasMessageContaining("single-object encoding")
        .hasMessageContaining("PromptEvent");
  }

  @Test
  void refusesNoBytesAtAll() {
    assertThatThrownBy(() -> EventCodec.prompts().decode(new byte[0]))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("0 bytes");
  }

  @Test
  void refusesAnotherKindOfEventAndNamesTheSchemasItKnows() {
    byte[] progress =
        EventCodec.progress()
            .encode(ProgressEvent.newBuilder().setId("a").setStep(1).setTotalSteps(2).build());
    assertThatThrownBy(() -> EventCodec.prompts().decode(progress))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("unknown for a PromptEvent; known are version 1")
        .hasMessageContaining("update Flink Diffusion");
  }

  @Test
  void refusesARecordThatWasCutShortWhereverTheCutIs() {
    byte[] bytes = EventCodec.prompts().encode(PROMPT);
    for (int length = 0; length < bytes.length; length++) {
      byte[] cut = Arrays.copyOf(bytes, length);
      assertThatThrownBy(() -> EventCodec.prompts().decode(cut))
          .isInstanceOf(UndecodableEventException.class);
    }
  }

  @Test
  void refusesBytesBehindTheRecord() {
    byte[] bytes = EventCodec.prompts().encode(PROMPT);
    assertThatThrownBy(() -> EventCodec.prompts().decode(Arrays.copyOf(bytes, bytes.length + 2)))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("2 bytes follow the end of the PromptEvent");
  }

  @Test
  void refusesAPictureThatAnnouncesMoreBytesThanThereAreWithoutAllocatingThem() throws Exception {
    assertThatThrownBy(
            () ->
                EventCodec.images()
                    .decode(
                        forged(
                            ImageEvent.getClassSchema(),
                            out -> {
                              out.writeString("id");
                              out.writeLong(Integer.MAX_VALUE - 8);
                            })))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("ImageEvent.image announces 2147483639 bytes where 0 are left");
  }

  @Test
  void refusesANegativeLengthWhichWouldMoveAReaderBackwards() throws Exception {
    assertThatThrownBy(
            () ->
                EventCodec.images()
                    .decode(forged(ImageEvent.getClassSchema(), out -> out.writeLong(-5))))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("ImageEvent.id announces -5 bytes");
  }

  @Test
  void refusesAMapOfABillionAttributesWithoutAllocatingIt() throws Exception {
    assertThatThrownBy(
            () ->
                EventCodec.failures()
                    .decode(
                        forged(
                            FailureEvent.getClassSchema(),
                            out -> {
                              out.writeIndex(0);
                              out.writeEnum(1);
                              out.writeString("message");
                              out.writeBytes(new byte[0]);
                              out.writeIndex(0);
                              out.writeIndex(0);
                              out.writeIndex(0);
                              out.writeIndex(0);
                              out.writeIndex(0);
                              out.writeLong(1 << 30);
                              out.writeString("k");
                              out.writeString("v");
                            })))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("attributes announces 1073741824 items");
  }

  @Test
  void refusesAnEnumerationOrUnionChoiceThatDoesNotExist() throws Exception {
    assertThatThrownBy(
            () ->
                EventCodec.failures()
                    .decode(forged(FailureEvent.getClassSchema(), out -> out.writeIndex(2))))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("FailureEvent.id has choice 2 of 2");
  }

  @Test
  void refusesTextThatIsNotUtf8InsteadOfReplacingCharacters() throws Exception {
    assertThatThrownBy(
            () ->
                EventCodec.prompts()
                    .decode(
                        forged(
                            PromptEvent.getClassSchema(),
                            out -> out.writeBytes(new byte[] {(byte) 0xff}))))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("PromptEvent.id is not UTF-8");
  }

  @Test
  void damagedBytesAreEitherReadOrRefusedButNeverEndInAnotherError() {
    Random random = new Random(17);
    byte[] bytes = EventCodec.prompts().encode(PROMPT);
    int refused = 0;
    for (int i = 0; i < 20_000; i++) {
      byte[] damaged = bytes.clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        damaged[10 + random.nextInt(bytes.length - 10)] = (byte) random.nextInt();
      }
      try {
        EventCodec.prompts().decode(damaged);
      } catch (UndecodableEventException e) {
        refused++;
      }
    }
    assertThat(refused).isPositive();
  }

  @Test
  void saysWhichFieldLacksAValueWhenEncoding() {
    ProgressEvent event = new ProgressEvent();
    assertThatThrownBy(() -> EventCodec.progress().encode(event))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("ProgressEvent")
        .hasMessageContaining("id");
  }

  private interface Writing {
    void to(BinaryEncoder out) throws Exception;
  }

  /** A right header of the schema and then whatever {@code writing} says. */
  private static byte[] forged(org.apache.avro.Schema schema, Writing writing) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.write(new byte[] {(byte) 0xC3, 0x01});
    bytes.write(SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema));
    BinaryEncoder out = EncoderFactory.get().directBinaryEncoder(bytes, null);
    writing.to(out);
    out.flush();
    return bytes.toByteArray();
  }
}
