/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.batch.v1.Job;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.rbac.Role;
import io.fabric8.kubernetes.api.model.rbac.RoleBinding;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A resource as a class of fabric8's or Strimzi's: what these do not know, they keep aside. */
final class StrictResource {
  private static final Map<String, Class<?>> KINDS =
      Map.ofEntries(
          Map.entry("v1 ServiceAccount", ServiceAccount.class),
          Map.entry("v1 PersistentVolumeClaim", PersistentVolumeClaim.class),
          Map.entry("v1 Service", Service.class),
          Map.entry("apps/v1 Deployment", Deployment.class),
          Map.entry("batch/v1 Job", Job.class),
          Map.entry("rbac.authorization.k8s.io/v1 Role", Role.class),
          Map.entry("rbac.authorization.k8s.io/v1 RoleBinding", RoleBinding.class),
          Map.entry("networking.k8s.io/v1 NetworkPolicy", NetworkPolicy.class),
          Map.entry("policy/v1 PodDisruptionBudget", PodDisruptionBudget.class),
          Map.entry("kafka.strimzi.io/v1 KafkaTopic", KafkaTopic.class),
          Map.entry("kafka.strimzi.io/v1 KafkaUser", KafkaUser.class));

  private static final Set<String> PACKAGES = Set.of("io.fabric8.", "io.strimzi.");

  private StrictResource() {}

  static boolean knows(JsonNode resource) {
    return KINDS.containsKey(kind(resource));
  }

  static List<String> faults(JsonNode resource) {
    List<String> faults = new ArrayList<>();
    try {
      Object value = new ObjectMapper().treeToValue(resource, KINDS.get(kind(resource)));
      walk("", value, faults, Collections.newSetFromMap(new IdentityHashMap<>()));
    } catch (JsonProcessingException | ReflectiveOperationException e) {
      faults.add(e.toString());
    }
    return faults;
  }

  private static String kind(JsonNode resource) {
    return resource.path("apiVersion").asText() + " " + resource.path("kind").asText();
  }

  private static void walk(String at, Object value, List<String> faults, Set<Object> seen)
      throws ReflectiveOperationException {
    if (value instanceof Collection<?> list) {
      for (Object each : list) {
        walk(at + "[]", each, faults, seen);
      }
    } else if (value instanceof Map<?, ?> map) {
      for (Map.Entry<?, ?> each : map.entrySet()) {
        walk(at + "." + each.getKey(), each.getValue(), faults, seen);
      }
    } else if (value != null
        && PACKAGES.stream().anyMatch(value.getClass().getName()::startsWith)
        && !value.getClass().isEnum()
        && seen.add(value)) {
      for (Class<?> type = value.getClass();
          type != null && PACKAGES.stream().anyMatch(type.getName()::startsWith);
          type = type.getSuperclass()) {
        for (Field field : type.getDeclaredFields()) {
          if (!Modifier.isStatic(field.getModifiers())) {
            field.setAccessible(true);
            Object inner = field.get(value);
            if (field.getName().equals("additionalProperties") && inner instanceof Map<?, ?> more) {
              more.keySet().forEach(key -> faults.add("%s.%s is not known".formatted(at, key)));
            } else {
              walk(at + "." + field.getName(), inner, faults, seen);
            }
          }
        }
      }
    }
  }
}
