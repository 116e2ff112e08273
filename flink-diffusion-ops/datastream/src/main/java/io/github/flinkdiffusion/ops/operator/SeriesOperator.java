/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import io.github.flinkdiffusion.ops.serving.SeriesSettings;
import io.github.flinkdiffusion.ops.serving.SeriesTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Gathers the slices of each series, keyed by the series' UID. Its state is where slices' files are
 * and what their headers say, never a pixel; and of series that are done, for a time, that they
 * are.
 *
 * <p>It is an operator and no process function, because it counts the series that are open, also
 * when it is restored, and because what is open when its input ends is done then.
 */
final class SeriesOperator extends AbstractStreamOperator<ImageTaskEvent>
    implements OneInputStreamOperator<ReadSlice, ImageTaskEvent>,
        Triggerable<String, VoidNamespace>,
        BoundedOneInput {
  private static final long serialVersionUID = 1L;

  private static final String SERIES = "diffusion-series";
  private static final String SLICES = "diffusion-series-slices";
  private static final String TIMERS = "diffusion-series-timers";
  private static final String COMPLETE = "complete";

  private final SeriesSettings settings;
  private transient ValueState<String> series;
  private transient MapState<String, String> slices;
  private transient InternalTimerService<VoidNamespace> timers;
  private transient int open;

  SeriesOperator(SeriesSettings settings) {
    this.settings = settings;
  }

  @Override
  public void open() throws Exception {
    super.open();
    series = getRuntimeContext().getState(new ValueStateDescriptor<>(SERIES, Types.STRING));
    slices =
        getRuntimeContext()
            .getMapState(new MapStateDescriptor<>(SLICES, Types.STRING, Types.STRING));
    timers = getInternalTimerService(TIMERS, VoidNamespaceSerializer.INSTANCE, this);
    open = gathering().size();
  }

  /** The keys of series that are not done. */
  private List<String> gathering() throws Exception {
    List<String> all;
    try (var keys = this.<String>getKeyedStateBackend().getKeys(SERIES, VoidNamespace.INSTANCE)) {
      all = keys.toList();
    }
    List<String> found = new ArrayList<>();
    for (String key : all) {
      setCurrentKey(key);
      if (series.value() != null && Series.parse(series.value()).done() == null) {
        found.add(key);
      }
    }
    return found;
  }

  int openSeries() {
    return open;
  }

  // ------------------------------------------------------------------ slices

  @Override
  public void processElement(StreamRecord<ReadSlice> element) throws Exception {
    ReadSlice read = element.getValue();
    Long timestamp = element.hasTimestamp() ? element.getTimestamp() : null;
    if (read.slice() == null) {
      fail(read.task(), FailureReason.valueOf(read.reason()), read.message(), timestamp);
      return;
    }
    GatheredSlice slice = GatheredSlice.parse(read.slice());
    String refused = refused(read.task(), slice, timestamp);
    if (refused != null) {
      fail(read.task(), FailureReason.INVALID_REQUEST, refused, timestamp);
      return;
    }
    add(read.task(), slice, timestamp);
  }

  /** Why a slice becomes part of no series; null if it does. */
  private String refused(ImageTaskEvent task, GatheredSlice slice, Long timestamp)
      throws Exception {
    if (settings.time() == SeriesTime.EVENT && timestamp == null) {
      return "The request has no timestamp, but the series' timeout is in event time (%s)."
          .formatted(SeriesOptions.TIME.key());
    }
    if (toldSlices(task) == -1) {
      return "%s is '%s'; a whole number from 1 is expected."
          .formatted(Series.SLICES, task.getParameters().get(Series.SLICES));
    }
    if (series.value() == null) {
      return open < settings.maxOpen()
          ? null
          : ("The slice begins a new series, but %d series are open, which is the maximum (%s)."
                  + " Send the series again later.")
              .formatted(open, SeriesOptions.MAX_OPEN.key());
    }
    Series known = Series.parse(series.value());
    if (known.done() != null) {
      return "The slice came late: its series was %s before. Send the whole series again after %d s (%s)."
          .formatted(
              known.done(), settings.retentionMillis() / 1000, SeriesOptions.RETENTION.key());
    }
    String there = slices.get(slice.instance());
    if (there != null && GatheredSlice.parse(there).sha256().equals(slice.sha256())) {
      return "Request '%s' has already sent this slice. The series continues without this copy."
          .formatted(GatheredSlice.parse(there).request());
    }
    if (!known.isAskedBy(task)) {
      return "The request differs from earlier ones of its series; prompt, seed, parameters and"
          + " similar settings must be equal in all of them. The series continues without"
          + " this slice.";
    }
    return null;
  }

  /** What a request says of the number of slices; 0 if nothing, -1 if no number. */
  private static int toldSlices(ImageTaskEvent task) {
    String text = task.getParameters().get(Series.SLICES);
    if (text == null) {
      return 0;
    }
    try {
      int number = Integer.parseInt(text.strip());
      return number > 0 ? number : -1;
    } catch (NumberFormatException e) {
      return -1;
    }
  }

  private void add(ImageTaskEvent task, GatheredSlice slice, Long timestamp) throws Exception {
    Series before = series.value() == null ? Series.of(task) : Series.parse(series.value());
    if (before.slices() == 0) {
      open++;
    }
    // Another file of the same instance is kept, since the failure names both.
    String name =
        slices.contains(slice.instance())
            ? slice.instance() + " " + slice.sha256()
            : slice.instance();
    slices.put(name, slice.json());
    Series now = before.with(task, slice, timestamp, expected(before, task, slice));
    if (now.slices() > settings.maxSlices() || now.bytes() > settings.maxBytes()) {
      end(
          now,
          "It has more than %d slices (%s) or %d bytes of files (%s)"
              .formatted(
                  settings.maxSlices(),
                  SeriesOptions.MAX_SLICES.key(),
                  settings.maxBytes(),
                  SeriesOptions.MAX_SIZE.key()));
      return;
    }
    if (now.slices() == now.expected()) {
      end(now, null);
      return;
    }
    long time = clock(timestamp);
    keep(timed(now, time + settings.timeoutMillis()));
  }

  /** Files count only while they agree, and never against what requests say. */
  private static int expected(Series before, ImageTaskEvent task, GatheredSlice slice) {
    int told = toldSlices(task);
    if (told > 0 || before.told()) {
      return told > 0 ? told : before.expected();
    }
    // Some devices say 1 in each file: of each of their acquisitions.
    boolean agrees = before.slices() == 0 || before.expected() == slice.expected();
    return agrees && slice.expected() > 1 ? slice.expected() : 0;
  }

  // ------------------------------------------------------------------ time

  private long clock(Long timestamp) {
    return settings.time() == SeriesTime.EVENT
        ? Math.max(timestamp, timers.currentWatermark())
        : timers.currentProcessingTime();
  }

  /** With its timer at another time. */
  private Series timed(Series now, long time) {
    boolean byEvents = settings.time() == SeriesTime.EVENT;
    if (now.timer() != Long.MIN_VALUE) {
      if (byEvents) {
        timers.deleteEventTimeTimer(VoidNamespace.INSTANCE, now.timer());
      } else {
        timers.deleteProcessingTimeTimer(VoidNamespace.INSTANCE, now.timer());
      }
    }
    long next = byEvents ? Math.max(time, now.timer()) : time;
    if (byEvents) {
      timers.registerEventTimeTimer(VoidNamespace.INSTANCE, next);
    } else {
      timers.registerProcessingTimeTimer(VoidNamespace.INSTANCE, next);
    }
    return now.until(next);
  }

  @Override
  public void onEventTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
    onTime(timer.getTimestamp());
  }

  @Override
  public void onProcessingTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
    onTime(timer.getTimestamp());
  }

  private void onTime(long time) throws Exception {
    String json = series.value();
    if (json == null) {
      return;
    }
    Series known = Series.parse(json);
    if (known.timer() != time) {
      return; // The clock was set: another timer follows.
    }
    if (known.done() == null) {
      end(known, null);
    } else {
      series.clear();
    }
  }

  @Override
  public void endInput() throws Exception {
    for (String key : gathering()) {
      setCurrentKey(key);
      end(Series.parse(series.value()), null);
    }
  }

  // ------------------------------------------------------------------ end

  /**
   * Puts out the series, or what is wrong with it, and forgets all but that it was there.
   *
   * @param fault null if that is still to be found out
   */
  private void end(Series gathered, String fault) throws Exception {
    List<GatheredSlice> all = new ArrayList<>();
    for (String json : slices.values()) {
      all.add(GatheredSlice.parse(json));
    }
    List<GatheredSlice> ordered = SeriesFaults.ordered(all);
    String wrong = fault == null ? SeriesFaults.of(ordered, gathered.expected()) : fault;
    ImageTaskEvent volume = volume(gathered, ordered);
    if (wrong.isEmpty()) {
      output.collect(record(volume, gathered.latest()));
    } else {
      fail(
          volume,
          FailureReason.INVALID_REQUEST,
          ("The slices of the series do not form a volume: %s. Its %d slices are in the failure's"
                  + " original, as a list.")
              .formatted(wrong, ordered.size()),
          gathered.latest());
    }
    open--;
    slices.clear();
    long now =
        settings.time() == SeriesTime.EVENT
            ? Math.max(
                timers.currentWatermark(),
                gathered.latest() == null ? Long.MIN_VALUE : gathered.latest())
            : timers.currentProcessingTime();
    String how = wrong.isEmpty() ? COMPLETE : "found to be no volume";
    long forgotten =
        now > Long.MAX_VALUE - settings.retentionMillis() ? now : now + settings.retentionMillis();
    keep(timed(gathered.ended(how), forgotten));
  }

  private void keep(Series now) throws Exception {
    series.update(now.json());
  }

  private ImageTaskEvent volume(Series gathered, List<GatheredSlice> ordered) {
    ImageTaskEvent first = gathered.firstTask();
    List<PayloadReference> files = ordered.stream().map(GatheredSlice::file).toList();
    Map<String, String> parameters = new TreeMap<>(first.getParameters());
    parameters.remove(Series.SLICES);
    return ImageTaskEvent.newBuilder(first)
        .setId(String.valueOf(getCurrentKey()))
        .setImage(SliceList.of(files).payload())
        .setParameters(parameters)
        .setAttributes(gathered.attributes())
        .setOrigin(null)
        .build();
  }

  private void fail(ImageTaskEvent task, FailureReason reason, String message, Long timestamp) {
    FailureEvent failure = Events.failure(RequestEvent.of(task), reason, message);
    output.collect(DiffusionOperator.FAILURES, record(failure, timestamp));
  }

  private static <T> StreamRecord<T> record(T value, Long timestamp) {
    return timestamp == null ? new StreamRecord<>(value) : new StreamRecord<>(value, timestamp);
  }
}
