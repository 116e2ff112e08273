/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Requests leave as they get done, within their segment: what lies between two watermarks. */
final class UnorderedQueue<E> implements EmissionQueue<E> {
  /** {@link Segment} and {@link Signals} in turns; a segment is never empty. */
  private final Deque<Object> items = new ArrayDeque<>();

  private final Map<E, Segment<E>> segmentOf = new IdentityHashMap<>();

  private static final class Segment<E> {
    final Set<E> all = new LinkedHashSet<>();
    final Deque<E> done = new ArrayDeque<>();
  }

  @Override
  public void add(E request) {
    if (!(items.peekLast() instanceof Segment)) {
      items.add(new Segment<E>());
    }
    @SuppressWarnings("unchecked") // only segments of E are added
    Segment<E> last = (Segment<E>) items.getLast();
    last.all.add(request);
    segmentOf.put(request, last);
  }

  @Override
  public Signals lastSignals() {
    return Signals.lastOf(items);
  }

  @Override
  public void complete(E request) {
    segmentOf.get(request).done.add(request);
  }

  @Override
  public Object poll() {
    if (!hasReady()) {
      return null;
    }
    if (items.peek() instanceof Signals) {
      return items.poll();
    }
    @SuppressWarnings("unchecked") // only segments of E are added
    Segment<E> head = (Segment<E>) items.peek();
    E request = head.done.poll();
    head.all.remove(request);
    segmentOf.remove(request);
    if (head.all.isEmpty()) {
      items.poll();
    }
    return request;
  }

  @Override
  public boolean hasReady() {
    return items.peek() instanceof Signals
        || items.peek() instanceof Segment<?> head && !head.done.isEmpty();
  }

  @Override
  @SuppressWarnings("unchecked") // only segments of E are added
  public List<E> requests() {
    List<E> requests = new ArrayList<>(size());
    for (Object item : items) {
      if (item instanceof Segment<?> segment) {
        requests.addAll(((Segment<E>) segment).all);
      }
    }
    return requests;
  }

  @Override
  public int size() {
    return segmentOf.size();
  }

  @Override
  public boolean isEmpty() {
    return items.isEmpty();
  }
}
