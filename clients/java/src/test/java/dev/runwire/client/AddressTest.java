package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class AddressTest {
  private static JsonObject vectors() throws IOException {
    return JsonParser.parseString(Files.readString(Path.of("../vectors/addresses.json")))
        .getAsJsonObject();
  }

  /** What gRPC reads in a target. */
  private static String reached(Address address) {
    URI target = URI.create(address.target);
    return target.getScheme().equals("dns") ? target.getPath().substring(1) : address.target;
  }

  @Test
  void addressesAreReadAsInEveryLanguage() throws IOException {
    for (JsonElement one : vectors().getAsJsonArray("read")) {
      JsonObject told = one.getAsJsonObject();
      Address found = Address.parse(told.get("address").getAsString());
      String target = told.get("target").getAsString();
      assertEquals(told.get("text").getAsString(), found.text);
      assertEquals(target, reached(found));
      assertEquals(told.get("secure").getAsBoolean(), found.secure, found.text);
      assertEquals(told.get("local").getAsBoolean(), found.local, found.text);
    }
    for (JsonElement folder : vectors().getAsJsonArray("folders")) {
      assertNotNull(Address.parse(folder.getAsString()).folder, folder.toString());
    }
  }

  @Test
  void whatIsNoAddressIsRefused() throws IOException {
    for (JsonElement one : vectors().getAsJsonArray("refused")) {
      assertThrows(
          IllegalArgumentException.class, () -> Address.parse(one.getAsString()), one.toString());
    }
  }
}
