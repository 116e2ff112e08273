/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;

/** Requests leave as they came. */
final class OrderedQueue<E> implements EmissionQueue<E> {
  /** Requests and {@link Signals}. */
  private final Deque<Object> items = new ArrayDeque<>();

  private final Set<E> done = Collections.newSetFromMap(new IdentityHashMap<>());
  private int size;

  @Override
  public void add(E request) {
    items.add(request);
    size++;
  }

  @Override
  public Signals lastSignals() {
    return Signals.lastOf(items);
  }

  @Override
  public void complete(E request) {
    done.add(request);
  }

  @Override
  public Object poll() {
    if (!hasReady()) {
      return null;
    }
    Object head = items.poll();
    if (!(head instanceof Signals)) {
      done.remove(head);
      size--;
    }
    return head;
  }

  @Override
  @SuppressWarnings("SuspiciousMethodCalls") // a set of requests may be asked for any object
  public boolean hasReady() {
    return items.peek() instanceof Signals || done.contains(items.peek());
  }

  @Override
  @SuppressWarnings("unchecked") // what is no Signals is a request
  public List<E> requests() {
    List<E> requests = new ArrayList<>(size);
    for (Object item : items) {
      if (!(item instanceof Signals)) {
        requests.add((E) item);
      }
    }
    return requests;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public boolean isEmpty() {
    return items.isEmpty();
  }
}
