/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Records of Confluent's Python client, and records for it. With {@code -Dregistry.url}, {@code
 * -Dregistry.in} and {@code -Dregistry.out} those go through a real registry; see {@code
 * registry_round_trip.py}, which made the fixtures.
 */
class RegistryFormatTest {
  private static final String REAL = System.getProperty("registry.url");

  private TestRegistry registry;
  private Path folder;
  private Map<Integer, JsonNode> schemas;

  @BeforeEach
  void start() throws IOException, URISyntaxException {
    folder =
        Path.of(
            System.getProperty(
                "registry.in", Path.of(getClass().getResource("/registry").toURI()).toString()));
    try (InputStream in = Files.newInputStream(folder.resolve("schemas.json"))) {
      schemas = new ObjectMapper().readValue(in, new TypeReference<>() {});
    }
    registry = new TestRegistry().with(schemas);
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  private FormatSettings settings(EventFormat format, UnknownFields unknown) {
    return settings(format, unknown, REAL == null ? registry.url() : REAL, Framing.CONFLUENT, true);
  }

  private static FormatSettings settings(
      EventFormat format, UnknownFields unknown, String url, Framing framing, boolean register) {
    return new FormatSettings(
        format,
        unknown,
        null,
        new RegistrySettings(url, framing, register, Duration.ofSeconds(5), null, null));
  }

  /** The stand-in, also where the other tests ask a real registry. */
  private static FormatSettings avroAt(String url, boolean register) {
    return settings(
        EventFormat.REGISTRY_AVRO, UnknownFields.REFUSE, url, Framing.CONFLUENT, register);
  }

  private byte[] record(String name) throws IOException {
    return Files.readAllBytes(folder.resolve(name + ".bin"));
  }

  private PromptEvent read(String name, FormatSettings settings)
      throws IOException, UndecodableEventException {
    return settings.reader(PromptEvent.class).read(record(name), "orders-0-17");
  }

  @Test
  void anAvroSchemaThatSomebodyElseWroteIsReadByItsFieldsNames() throws Exception {
    assertThat(read("avro-foreign", settings(EventFormat.REGISTRY_AVRO, UnknownFields.REFUSE)))
        .isEqualTo(
            PromptEvent.newBuilder()
                .setId("orders-0-17")
                .setPrompt("a red fox")
                .setSteps(4)
                .setSeed(7L)
                .setDeadline(1_790_000_000_000L)
                .build());
  }

  @Test
  void theEventsOwnSchemaIsReadToo() throws Exception {
    PromptEvent prompt =
        read("avro-own", settings(EventFormat.REGISTRY_AVRO, UnknownFields.REFUSE));
    assertThat(prompt.getId()).isEqualTo("python-1");
    assertThat(prompt.getGuidanceScale()).isEqualTo(1.5);
    assertThat(prompt.getAttributes()).containsEntry("tenant", "b");
    assertThat(prompt.getOrigin()).isNull(); // the source's to say
  }

  @Test
  void jsonBehindASchemasIdIsReadAsJson() throws Exception {
    PromptEvent prompt = read("json", settings(EventFormat.REGISTRY_JSON, UnknownFields.REFUSE));
    assertThat(prompt.getPrompt()).isEqualTo("a green frog");
    assertThat(prompt.getParameters()).isEqualTo(Map.of("eta", "0.5"));
  }

  @Test
  void aFieldThatAPromptDoesNotHaveIsRefusedOrKept() throws Exception {
    assertThatThrownBy(
            () ->
                read(
                    "avro-unknown-field",
                    settings(EventFormat.REGISTRY_AVRO, UnknownFields.REFUSE)))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("PromptEvent has no field 'customer'");
    assertThat(
            read(
                    "avro-unknown-field",
                    settings(EventFormat.REGISTRY_AVRO, UnknownFields.ATTRIBUTES))
                .getAttributes())
        .isEqualTo(Map.of("customer", "b"));
  }

  @Test
  void whatIsWrittenNamesASchemaThatTheRegistryHas() throws Exception {
    ImageEvent image =
        ImageEvent.newBuilder()
            .setId("a")
            .setImage(ByteBuffer.wrap(new byte[] {(byte) 0x89, 'P', 'N', 'G'}))
            .setWidth(64)
            .setHeight(64)
            .build();
    FailureEvent failure =
        FailureEvent.newBuilder()
            .setReason(FailureReason.TIMEOUT)
            .setMessage("late")
            .setOriginal(ByteBuffer.wrap("abc".getBytes(UTF_8)))
            .build();
    for (EventFormat format :
        new EventFormat[] {EventFormat.REGISTRY_AVRO, EventFormat.REGISTRY_JSON}) {
      FormatSettings settings = settings(format, UnknownFields.REFUSE);
      String kind = format == EventFormat.REGISTRY_AVRO ? "avro" : "json";
      // A registry checks that a subject's schemas go with each other, so each kind has its topics.
      assertComesBack(settings, ImageEvent.class, image, "image-" + kind);
      assertComesBack(settings, FailureEvent.class, failure, "failure-" + kind);
    }
  }

  private static <T extends SpecificRecord> void assertComesBack(
      FormatSettings settings, Class<T> eventClass, T event, String name)
      throws IOException, UndecodableEventException {
    byte[] record = settings.writer(eventClass, name).write(event);
    assertThat(record[0]).isZero();
    assertThat(ByteBuffer.wrap(record, 1, 4).getInt()).isPositive();
    assertThat(settings.reader(eventClass).read(record, null)).isEqualTo(event);
    if (System.getProperty("registry.out") != null) {
      Path out = Files.createDirectories(Path.of(System.getProperty("registry.out")));
      Files.write(out.resolve(name + ".bin"), record);
    }
  }

  @Test
  void aSchemaIsAskedForOnceAndRegisteredOnce() throws Exception {
    FormatSettings settings = avroAt(registry.url(), true);
    EventReader<PromptEvent> reader = settings.reader(PromptEvent.class);
    EventWriter<PromptEvent> writer = settings.writer(PromptEvent.class, "out");
    for (int i = 0; i < 3; i++) {
      writer.write(reader.read(record("avro-foreign"), "a"));
    }
    assertThat(registry.asked).hasSize(2).last().isEqualTo("POST /subjects/out-value/versions");
  }

  @Test
  void anIdThatTheRegistryDoesNotKnowIsARecordThatCannotBeRead() {
    FormatSettings settings = avroAt(registry.url(), true);
    EventReader<PromptEvent> reader = settings.reader(PromptEvent.class);
    for (int i = 0; i < 2; i++) {
      assertThatThrownBy(() -> reader.read(new byte[] {0, 0, 0, 3, (byte) 0xE8, 2, 'a'}, "a"))
          .isInstanceOf(UndecodableEventException.class)
          .hasMessage("The registry at %s has no schema with id 1000.".formatted(registry.url()));
    }
    assertThat(registry.asked).as("not asked again at once").hasSize(1);
  }

  @Test
  void aRegistryThatIsAwayForAMomentIsAskedAgainAndOneThatStaysAwayFailsTheTask() throws Exception {
    FormatSettings settings = avroAt(registry.url(), true);
    registry.failNext(2);
    assertThat(read("avro-foreign", settings).getPrompt()).isEqualTo("a red fox");
    registry.failNext(1000);
    assertThatThrownBy(() -> read("avro-foreign", settings))
        .isInstanceOf(RegistryException.class)
        .hasMessageContaining("tried 4 times: it answered with status 503");
  }

  @Test
  void aPasswordIsSentAndItsAbsenceSaidButNeverShown() throws Exception {
    registry.requireAuthorization("Basic YTpi");
    RegistrySettings with =
        new RegistrySettings(
            registry.url(), Framing.CONFLUENT, true, Duration.ofSeconds(5), "a", "b");
    FormatSettings settings =
        new FormatSettings(EventFormat.REGISTRY_AVRO, UnknownFields.REFUSE, null, with);
    assertThat(read("avro-foreign", settings).getPrompt()).isEqualTo("a red fox");
    assertThat(with.toString()).doesNotContain("b]");
    FormatSettings without = avroAt(registry.url(), true);
    assertThatThrownBy(() -> read("avro-foreign", without))
        .isInstanceOf(RegistryException.class)
        .hasMessageContaining("status 401")
        .hasMessageContaining("diffusion.kafka.registry.user");
    assertThatThrownBy(
            () ->
                new RegistrySettings(
                    "http://a:b@host", Framing.CONFLUENT, true, Duration.ofSeconds(5), null, null))
        .hasMessageNotContaining("a:b");
  }

  @Test
  void anotherServerThanARegistryIsNoticed() {
    FormatSettings settings = avroAt(registry.url() + "/wiki", true);
    assertThatThrownBy(() -> read("avro-foreign", settings))
        .isInstanceOf(RegistryException.class)
        .hasMessageContaining("Is diffusion.kafka.registry.url that of the registry's API?");
  }

  @Test
  void whereNothingMayBeRegisteredTheSchemaMustBeThere() {
    FormatSettings settings = avroAt(registry.url(), false);
    PromptEvent prompt = PromptEvent.newBuilder().setId("a").setPrompt("b").build();
    assertThatThrownBy(() -> settings.writer(PromptEvent.class, "out").write(prompt))
        .isInstanceOf(RegistryException.class)
        .hasMessageContaining("has no such schema under out-value");
    registry.answerAllWith(409);
    assertThatThrownBy(() -> settings.writer(PromptEvent.class, "out").write(prompt))
        .hasMessageContaining("is not compatible with the registered ones: as told");
  }

  @Test
  void idsOfEightBytesAreLookedUpWithApicuriosOwnApi() throws Exception {
    String core = System.getProperty("registry.core.url");
    FormatSettings settings =
        settings(
            EventFormat.REGISTRY_AVRO,
            UnknownFields.REFUSE,
            core == null ? registry.url() + "/apis/registry/v3" : core,
            Framing.APICURIO,
            true);
    PromptEvent prompt = PromptEvent.newBuilder().setId("a").setPrompt("b").setSteps(3).build();
    byte[] record = settings.writer(PromptEvent.class, "eight").write(prompt);
    assertThat(record).startsWith(0, 0, 0, 0, 0);
    assertThat(settings.reader(PromptEvent.class).read(record, null)).isEqualTo(prompt);
    record[5] = 1; // 1 << 24 and more
    assertThatThrownBy(() -> settings.reader(PromptEvent.class).read(record, null))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("has no schema with id 167");
  }

  @Test
  void aSchemaOfAnotherKindIsRefused() throws Exception {
    byte[] json = record("json");
    FormatSettings settings = avroAt(registry.url(), true);
    assertThatThrownBy(() -> settings.reader(PromptEvent.class).read(json, "a"))
        .hasMessageContaining("This looks like Confluent-framed JSON, schema id")
        .hasMessageContaining("is of type JSON; AVRO is expected");
  }
}
